#include "fuse/file_handle.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "common/interruption.h"
#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

absl::Status NotAtEnd(InodeId inode, uint64_t offset) {
  return MakeError(v1::NOT_PERMITTED, StrCat("inode=", inode, ": write at ", offset,
                                             ", which is not the end of the file"));
}

}  // namespace

absl::Status WaitForQueue(File& file) {
  if (file.queued_bytes() == 0) return absl::OkStatus();
  auto answered = std::make_shared<PendingAnswer<bool>>();
  file.FlushAsync([answered] { answered->Set(true); });
  return answered->Take().status();
}

FileHandle::FileHandle(std::shared_ptr<File> file, WriteAccess access)
    : file_(std::move(file)), access_(access) {
  absl::MutexLock lock(&state_->mutex);
  if (access == WriteAccess::kFromEmpty || access == WriteAccess::kCreator)
    state_->expected_end = 0;
}

absl::Status FileHandle::CheckLocks() const {
  if (!lock_user_->lost.load(std::memory_order_relaxed)) return absl::OkStatus();
  return MakeError(v1::INPUT_OUTPUT, StrCat("inode=", file_->inode(),
                                            ": the lock was lost with the session; open it again"));
}

void FileHandle::NoteLock(const FileLock& lock) {
  absl::MutexLock locked(&locks_mutex_);
  lock_owners_.insert({lock.whole_file, lock.owner});
}

void FileHandle::ForgetRecordLocks(uint64_t owner) {
  absl::MutexLock locked(&locks_mutex_);
  lock_owners_.erase({/*whole_file=*/false, owner});
}

std::vector<FileLock> FileHandle::NotedLocks() const {
  std::vector<FileLock> locks;
  absl::MutexLock locked(&locks_mutex_);
  for (const auto& [whole_file, owner] : lock_owners_)
    locks.push_back({.inode = file_->inode(), .whole_file = whole_file, .owner = owner});
  return locks;
}

void FileHandle::Write(uint64_t offset, std::string_view bytes, WriteMode mode, Written done) {
  if (absl::Status kept = CheckLocks(); !kept.ok()) return std::move(done)(kept);
  if (absl::Status late = state_->TakeForWrite(); !late.ok()) return std::move(done)(late);
  if (bytes.empty()) return std::move(done)(size_t{0});
  bytes = bytes.substr(0, file_->max_record_bytes());
  if (absl::Status room = file_->AwaitRoom(bytes.size()); !room.ok()) return std::move(done)(room);
  std::optional<absl::StatusOr<size_t>> answer;
  {
    absl::MutexLock lock(&order_);
    answer = Queue(offset, bytes, mode, done);
  }
  if (answer) std::move(done)(*std::move(answer));
}

std::optional<absl::StatusOr<size_t>> FileHandle::Queue(uint64_t offset, std::string_view bytes,
                                                        WriteMode mode, Written& done) {
  std::optional<uint64_t> end;
  {
    absl::MutexLock lock(&state_->mutex);
    end = state_->expected_end;
    if (mode.append) {
      state_->expected_end.reset();
    } else if (end) {
      if (offset < *end || (offset > *end && access_ != WriteAccess::kCreator))
        return NotAtEnd(file_->inode(), offset);
      if (offset - *end > kLargestGap)
        return MakeError(v1::TOO_LARGE, StrCat("inode=", file_->inode(), ": a gap of ",
                                               offset - *end, " bytes; at most ", kLargestGap));
      // Before queueing: a failure, which forgets it again, comes after.
      state_->expected_end = offset + bytes.size();
    }
  }
  // Where the end is not known only the cluster can say whether it is here.
  const bool unknown = !mode.append && !end;
  const bool durable = mode.durable || unknown;
  auto outcome = [state = state_, done = durable ? std::move(done) : Written(), durable, unknown,
                  offset, size = bytes.size()](absl::StatusOr<FileOffset> at) mutable {
    if (!at.ok()) {
      state->Fail(at.status(), /*tell_later=*/!durable);
    } else if (unknown) {
      absl::MutexLock lock(&state->mutex);
      state->expected_end = offset + size;
    }
    if (!durable) return;
    if (at.ok()) {
      std::move(done)(size);
    } else {
      std::move(done)(at.status());
    }
  };
  // What is answered now goes on, whatever becomes of the caller.
  std::optional<UnattendedScope> unattended;
  if (!durable) unattended.emplace();
  if (mode.append) {
    file_->AppendAsync(bytes, std::move(outcome));
  } else {
    if (end) FillGap(*end, offset);
    file_->AppendAtAsync(FileOffset(offset), bytes, std::move(outcome));
  }
  if (!durable) return bytes.size();
  file_->FlushAsync([] {});  // the writer waits: do not gather
  return std::nullopt;
}

void FileHandle::FillGap(uint64_t from, uint64_t to) {
  const std::string zeros(std::min({to - from, file_->max_record_bytes(), uint64_t{1} << 20}), 0);
  while (from < to) {
    const uint64_t size = std::min<uint64_t>(to - from, zeros.size());
    file_->AppendAtAsync(FileOffset(from), std::string_view(zeros).substr(0, size),
                         [state = state_](absl::StatusOr<FileOffset> at) {
                           if (!at.ok()) state->Fail(at.status(), /*tell_later=*/true);
                         });
    from += size;
  }
}

absl::Status FileHandle::SetSize(uint64_t size) {
  APPENDFS_RETURN_IF_ERROR(WaitForQueue(*file_));
  APPENDFS_ASSIGN_OR_RETURN(const uint64_t end, file_->Size());
  if (size == end) return absl::OkStatus();
  {
    absl::MutexLock order(&order_);
    {
      absl::MutexLock lock(&state_->mutex);
      if (size < end || access_ != WriteAccess::kCreator || state_->expected_end != end)
        return MakeError(v1::NOT_PERMITTED, StrCat("inode=", file_->inode(), ": truncation to ",
                                                   size, " of ", end, " bytes"));
      if (size - end > kLargestGap)
        return MakeError(v1::TOO_LARGE, StrCat("inode=", file_->inode(), ": a gap of ", size - end,
                                               " bytes; at most ", kLargestGap));
      state_->expected_end = size;
    }
    FillGap(end, size);
  }
  APPENDFS_RETURN_IF_ERROR(WaitForQueue(*file_));
  return state_->TakeForSync();
}

void FileHandle::Sync(Done done) {
  if (absl::Status kept = CheckLocks(); !kept.ok()) return std::move(done)(kept);
  // Told once, by whichever comes first.
  struct Waiting {
    std::atomic<bool> told = false;
    Done done;
  };
  auto waiting = std::make_shared<Waiting>();
  waiting->done = std::move(done);
  Interruption* const interruption = Interruption::OfThisThread();
  file_->FlushAsync([state = state_, waiting] {
    if (!waiting->told.exchange(true)) std::exchange(waiting->done, nullptr)(state->TakeForSync());
  });
  if (interruption == nullptr) return;
  interruption->Add([file = std::weak_ptr<File>(file_), waiting, interruption] {
    if (waiting->told.exchange(true)) return;
    const std::shared_ptr<File> still_open = file.lock();
    const bool in_doubt = still_open != nullptr && still_open->in_doubt();
    const absl::Status why = interruption->status();
    std::exchange(waiting->done, nullptr)(
        in_doubt ? MakeError(v1::IN_DOUBT,
                             StrCat(FromAbsl(why.message()), " before what was sent was answered"))
                 : why);
  });
}

void FileHandle::Close(Done done) {
  if (access_ == WriteAccess::kNone) return std::move(done)(absl::OkStatus());
  Sync(std::move(done));
}

void FileHandle::State::Fail(const absl::Status& status, bool tell_later) {
  absl::MutexLock lock(&mutex);
  expected_end.reset();
  if (!tell_later) return;
  // Late, it is the record that was lost, not the call that was interrupted.
  const absl::Status late =
      HasReason(status, v1::INTERRUPTED) ? WithErrnoOf(v1::INPUT_OUTPUT, status) : status;
  for_write.Update(late);
  for_sync.Update(late);
}

absl::Status FileHandle::State::TakeForWrite() {
  absl::MutexLock lock(&mutex);
  return std::exchange(for_write, absl::OkStatus());
}

absl::Status FileHandle::State::TakeForSync() {
  absl::MutexLock lock(&mutex);
  for_write = absl::OkStatus();
  return std::exchange(for_sync, absl::OkStatus());
}

}  // namespace appendfs::fuse
