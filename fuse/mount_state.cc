#include "fuse/mount_state.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace appendfs::fuse {
namespace {

// Counts answers; shared, because an answer may come after nobody waits.
struct Countdown {
  absl::Mutex mutex;
  size_t left ABSL_GUARDED_BY(mutex) = 0;
};

}  // namespace

absl::StatusOr<FileStatus> MountState::AfterOwnQueue(FileStatus status) {
  if (status.type != v1::REGULAR) return status;
  const std::shared_ptr<File> file = inodes.OpenFile(status.inode);
  if (file == nullptr || file->queued_bytes() == 0) return status;
  WaitForQueue(*file);
  return file->Stat();
}

absl::StatusOr<FileStatus> MountState::Stat(InodeId inode) {
  const std::shared_ptr<File> file = inodes.OpenFile(inode);
  if (file == nullptr) return client.Stat(inode);
  WaitForQueue(*file);
  return file->Stat();
}

void MountState::FlushAll(std::chrono::milliseconds bound) {
  const std::vector<std::shared_ptr<File>> open = inodes.OpenFiles();
  auto countdown = std::make_shared<Countdown>();
  {
    absl::MutexLock lock(&countdown->mutex);
    countdown->left = open.size();
  }
  for (const std::shared_ptr<File>& file : open) {
    file->FlushAsync([countdown] {
      absl::MutexLock lock(&countdown->mutex);
      --countdown->left;
    });
  }
  absl::MutexLock lock(&countdown->mutex);
  auto none_left = [&countdown]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return countdown->left == 0; };
  countdown->mutex.AwaitWithTimeout(absl::Condition(&none_left), absl::FromChrono(bound));
}

}  // namespace appendfs::fuse
