#include "chunkserver/store/chunk_files.h"

#include "chunkserver/store/layout.h"

namespace appendfs {

absl::StatusOr<std::shared_ptr<File>> ChunkFiles::Open(ChunkHandle handle, bool create) {
  {
    absl::MutexLock lock(&mutex_);
    if (auto found = open_.find(handle); found != open_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second;
    }
  }
  APPENDFS_ASSIGN_OR_RETURN(
      std::shared_ptr<File> file,
      fs_.Open(layout::DataPath(directory_, handle),
               create ? FileSystem::OpenMode::kCreateOrOpen : FileSystem::OpenMode::kReadWrite));
  std::shared_ptr<File> evicted;  // closed after the lock is released
  absl::MutexLock lock(&mutex_);
  if (auto found = open_.find(handle); found != open_.end()) return found->second->second;
  recent_.emplace_front(handle, file);
  open_[handle] = recent_.begin();
  if (recent_.size() > kMostOpen) {
    evicted = std::move(recent_.back().second);
    open_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return file;
}

void ChunkFiles::Forget(ChunkHandle handle) {
  std::shared_ptr<File> closed;  // after the lock is released: of a removed file that may take long
  absl::MutexLock lock(&mutex_);
  auto found = open_.find(handle);
  if (found == open_.end()) return;
  closed = std::move(found->second->second);
  recent_.erase(found->second);
  open_.erase(found);
}

}  // namespace appendfs
