#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "common/interruption.h"
#include "fuse/late_reply.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

// A file that is closed is let go of by the kernel just after that, and its
// flock with it: who does not want to wait gives that this much time.
constexpr Duration kJustClosed = std::chrono::milliseconds(5);
constexpr int kLooks = 5;

LockSpan SpanOf(const struct flock& wanted) {
  const auto first = static_cast<uint64_t>(wanted.l_start);
  if (wanted.l_len == 0) return {.first = first};
  return {.first = first, .last = first + static_cast<uint64_t>(wanted.l_len) - 1};
}

FileLock RecordLock(const FileHandle& handle, const fuse_file_info& info,
                    const struct flock& wanted) {
  return {.inode = handle.inode(),
          .owner = info.lock_owner,
          .span = SpanOf(wanted),
          .mode = wanted.l_type == F_WRLCK ? LockMode::kExclusive : LockMode::kShared,
          .pid = wanted.l_pid};
}

int ErrnoOf(const absl::StatusOr<LockOutcome>& outcome) {
  if (!outcome.ok()) return ToErrno(outcome.status());
  switch (*outcome) {
    case LockOutcome::kGranted: return 0;
    case LockOutcome::kCollides: return EAGAIN;
    case LockOutcome::kDeadlock: return EDEADLK;
  }
  return EIO;
}

void GetLock(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  const auto holder = StateOf(request).client.locks().Test(RecordLock(*handle, *info, *wanted));
  if (!holder.ok()) return ReplyStatus(request, holder.status());
  struct flock answer = *wanted;
  answer.l_whence = SEEK_SET;
  if (!*holder) {
    answer.l_type = F_UNLCK;
  } else {
    const FileLock& lock = (*holder)->lock;
    answer.l_type = lock.mode == LockMode::kExclusive ? F_WRLCK : F_RDLCK;
    answer.l_start = static_cast<off_t>(lock.span.first);
    answer.l_len =
        lock.span.last == UINT64_MAX ? 0 : static_cast<off_t>(lock.span.last - lock.span.first + 1);
    // A process of another mount may be of another host.
    answer.l_pid = (*holder)->ours ? lock.pid : 0;
  }
  fuse_reply_lock(request, &answer);
}

void Unlock(fuse_req_t request, const FileHandle& handle, const FileLock& lock) {
  // Who has the lock next sees what was written under it.
  (void)WaitForQueue(handle.file());
  StateOf(request).client.locks().Unlock(
      lock, [reply = LateReply(request)](const absl::StatusOr<LockOutcome>& outcome) {
        reply.SendErrno(ErrnoOf(outcome));
      });
}

void Lock(fuse_req_t request, FileHandle& handle, const FileLock& lock, bool wait) {
  handle.NoteLock(lock);
  StateOf(request).client.locks().Lock(
      lock, wait, handle.lock_user(),
      [reply = LateReply(request)](const absl::StatusOr<LockOutcome>& outcome) {
        reply.SendErrno(ErrnoOf(outcome));
      });
}

// Without waiting; blocks until that is answered.
absl::StatusOr<LockOutcome> Try(FileLocks& locks, FileHandle& handle, const FileLock& lock) {
  auto pending = std::make_shared<PendingAnswer<LockOutcome>>();
  locks.Lock(lock, /*wait=*/false, handle.lock_user(),
             [pending](absl::StatusOr<LockOutcome> outcome) { pending->Set(std::move(outcome)); });
  return pending->Take();
}

void SetLock(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted,
             int sleep) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  const FileLock lock = RecordLock(*handle, *info, *wanted);
  if (wanted->l_type == F_UNLCK) return Unlock(request, *handle, lock);
  Lock(request, *handle, lock, sleep != 0);
}

void Flock(fuse_req_t request, fuse_ino_t, fuse_file_info* info, int operation) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  const FileLock lock{
      .inode = handle->inode(),
      .whole_file = true,
      .owner = info->lock_owner,
      .mode = (operation & LOCK_EX) != 0 ? LockMode::kExclusive : LockMode::kShared};
  if ((operation & LOCK_UN) != 0) return Unlock(request, *handle, lock);
  if ((operation & LOCK_NB) == 0) return Lock(request, *handle, lock, /*wait=*/true);
  handle->NoteLock(lock);
  FileLocks& locks = StateOf(request).client.locks();
  absl::StatusOr<LockOutcome> outcome = Try(locks, *handle, lock);
  for (int look = 1; look < kLooks && outcome.ok() && *outcome == LockOutcome::kCollides; ++look) {
    if (!SleepUnlessInterrupted(kJustClosed)) break;
    outcome = Try(locks, *handle, lock);
  }
  fuse_reply_err(request, ErrnoOf(outcome));
}

}  // namespace

void AddLockOperations(fuse_lowlevel_ops& operations) {
  operations.getlk = GetLock;
  operations.setlk = SetLock;
  operations.flock = Flock;
}

}  // namespace appendfs::fuse
