#include "fuse/mount_state.h"

#include <memory>
#include <utility>

#include "absl/time/clock.h"

namespace appendfs::fuse {
absl::StatusOr<FileStatus> MountState::AfterOwnQueue(FileStatus status) {
  if (status.type != v1::REGULAR) return status;
  const std::shared_ptr<File> file = inodes.OpenFile(status.inode);
  if (file == nullptr || file->queued_bytes() == 0) return status;
  APPENDFS_RETURN_IF_ERROR(WaitForQueue(*file));
  return file->Stat();
}

absl::StatusOr<FileStatus> MountState::Stat(InodeId inode) {
  const std::shared_ptr<File> file = inodes.OpenFile(inode);
  if (file == nullptr) return client.Stat(inode);
  APPENDFS_RETURN_IF_ERROR(WaitForQueue(*file));
  return file->Stat();
}

bool MountState::FlushAll(std::chrono::milliseconds bound) {
  const SystemClock clock;
  const Duration deadline = clock.Monotonic() + bound;
  // Hurries it; files whose last user was killed are not among these.
  for (const std::shared_ptr<File>& file : inodes.OpenFiles()) file->FlushAsync([] {});
  while (!client.AppendQueues().empty()) {
    if (clock.Monotonic() >= deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace appendfs::fuse
