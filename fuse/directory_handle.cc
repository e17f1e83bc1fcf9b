#include "fuse/directory_handle.h"

#include <iterator>
#include <utility>

namespace appendfs::fuse {

absl::Status DirectoryHandle::Open() {
  absl::MutexLock lock(&mutex_);
  return Rewind();
}

absl::Status DirectoryHandle::Read(uint64_t offset, Show show) {
  absl::MutexLock lock(&mutex_);
  if (offset == 0 && !fresh_) APPENDFS_RETURN_IF_ERROR(Rewind());
  fresh_ = false;
  for (uint64_t at = offset;; ++at) {
    while (at >= entries_.size() && !complete_) APPENDFS_RETURN_IF_ERROR(FetchPage());
    if (at >= entries_.size() || !show(entries_[at], at + 1)) return absl::OkStatus();
  }
}

absl::Status DirectoryHandle::Rewind() {
  entries_.clear();
  complete_ = false;
  APPENDFS_RETURN_IF_ERROR(FetchPage());
  fresh_ = true;
  return absl::OkStatus();
}

absl::Status DirectoryHandle::FetchPage() {
  const std::string after = entries_.size() <= 2 ? "" : entries_.back().name;
  APPENDFS_ASSIGN_OR_RETURN(DirectoryPage page,
                            client_.ReadDirectory(inode_, after, kPageEntries, with_status_));
  if (entries_.empty()) {
    entries_.push_back({.name = ".", .inode = inode_, .type = v1::DIRECTORY});
    entries_.push_back(
        {.name = "..", .inode = page.parent ? page.parent : inode_, .type = v1::DIRECTORY});
  }
  // A page without entries that is not the last would be asked for for ever.
  complete_ = page.end || page.entries.empty();
  entries_.insert(entries_.end(), std::make_move_iterator(page.entries.begin()),
                  std::make_move_iterator(page.entries.end()));
  return absl::OkStatus();
}

}  // namespace appendfs::fuse
