#include "fuse/file_handle.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

absl::Status NotAtEnd(InodeId inode, uint64_t offset) {
  return MakeError(v1::NOT_PERMITTED, StrCat("inode=", inode, ": write at ", offset,
                                             ", which is not the end of the file"));
}

}  // namespace

void WaitForQueue(File& file) {
  if (file.queued_bytes() == 0) return;
  absl::Notification answered;
  file.FlushAsync([&answered] { answered.Notify(); });
  answered.WaitForNotification();
}

FileHandle::FileHandle(std::shared_ptr<File> file, WriteAccess access)
    : file_(std::move(file)), access_(access) {
  absl::MutexLock lock(&state_->mutex);
  if (access == WriteAccess::kFromEmpty || access == WriteAccess::kCreator)
    state_->expected_end = 0;
}

void FileHandle::Write(uint64_t offset, std::string_view bytes, WriteMode mode, Written done) {
  if (absl::Status late = state_->TakeForWrite(); !late.ok()) return std::move(done)(late);
  if (bytes.empty()) return std::move(done)(size_t{0});
  bytes = bytes.substr(0, file_->max_record_bytes());
  auto waiting = std::make_shared<Written>(std::move(done));
  std::optional<absl::StatusOr<size_t>> answer;
  {
    absl::MutexLock lock(&order_);
    answer = Queue(offset, bytes, mode, waiting);
  }
  if (answer) std::move (*waiting)(*std::move(answer));
}

std::optional<absl::StatusOr<size_t>> FileHandle::Queue(uint64_t offset, std::string_view bytes,
                                                        WriteMode mode,
                                                        const std::shared_ptr<Written>& done) {
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
  auto outcome = [state = state_, done, durable, unknown, offset,
                  size = bytes.size()](absl::StatusOr<FileOffset> at) {
    if (!at.ok()) {
      state->Fail(at.status(), /*tell_later=*/!durable);
    } else if (unknown) {
      absl::MutexLock lock(&state->mutex);
      state->expected_end = offset + size;
    }
    if (!durable) return;
    if (at.ok()) {
      std::move (*done)(size);
    } else {
      std::move (*done)(at.status());
    }
  };
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
  WaitForQueue(*file_);
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
  WaitForQueue(*file_);
  return state_->TakeForSync();
}

void FileHandle::Sync(Done done) {
  file_->FlushAsync([state = state_, done = std::move(done)]() mutable {
    std::move(done)(state->TakeForSync());
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
  for_write.Update(status);
  for_sync.Update(status);
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
