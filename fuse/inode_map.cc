#include "fuse/inode_map.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace appendfs::fuse {

void InodeMap::AddLookups(InodeId inode, uint64_t count) {
  absl::MutexLock lock(&mutex_);
  nodes_[inode].lookups += count;
}

void InodeMap::Forget(InodeId inode, uint64_t count) {
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  if (node == nodes_.end()) return;
  node->second.lookups -= std::min(count, node->second.lookups);
  if (node->second.lookups == 0 && node->second.handles == 0) nodes_.erase(node);
}

void InodeMap::AddHandle(InodeId inode, const std::shared_ptr<File>& file) {
  absl::MutexLock lock(&mutex_);
  Node& node = nodes_[inode];
  ++node.handles;
  node.file = file;
}

void InodeMap::RemoveHandle(InodeId inode) {
  std::shared_ptr<File> last;  // its destructor must not run under the lock
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  if (node == nodes_.end() || node->second.handles == 0) return;
  if (--node->second.handles > 0) return;
  last = std::move(node->second.file);
  if (node->second.lookups == 0) nodes_.erase(node);
}

std::shared_ptr<File> InodeMap::OpenFile(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  return node == nodes_.end() ? nullptr : node->second.file;
}

std::vector<std::shared_ptr<File>> InodeMap::OpenFiles() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<File>> files;
  for (const auto& [inode, node] : nodes_)
    if (node.file != nullptr) files.push_back(node.file);
  return files;
}

FileStatus InodeMap::Observe(FileStatus status) {
  absl::MutexLock lock(&mutex_);
  auto found = nodes_.find(status.inode);
  if (found == nodes_.end() || status.type != v1::REGULAR) return status;
  Node& node = found->second;
  node.set_id = (status.mode & (S_ISUID | S_ISGID)) != 0;
  node.largest_size = std::max(node.largest_size, status.size);
  status.size = node.largest_size;
  return status;
}

bool InodeMap::HasSetId(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  return node != nodes_.end() && node->second.set_id;
}

bool InodeMap::Knows(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  return node != nodes_.end() && node->second.lookups > 0;
}

size_t InodeMap::size() const {
  absl::MutexLock lock(&mutex_);
  return nodes_.size();
}

}  // namespace appendfs::fuse
