#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"

namespace appendfs::fuse {

// What the mount remembers of the inodes that the kernel knows. A kernel node
// id is the inode number; only the mount's root, which may be any directory of
// the namespace, is always node 1, as FUSE wants it.
//
// An entry lives while the kernel holds lookups of it or files of it are open.
// Thread-safe; never calls out.
class InodeMap {
 public:
  explicit InodeMap(InodeId root) : root_(root) {}

  InodeId root() const { return root_; }
  InodeId ToInode(uint64_t node) const { return node == kRootNode ? root_ : InodeId(node); }
  uint64_t ToNode(InodeId inode) const { return inode == root_ ? kRootNode : inode.value(); }

  // The kernel was told of the inode `count` times more, or forgets as many.
  void AddLookups(InodeId inode, uint64_t count = 1);
  void Forget(InodeId inode, uint64_t count);

  // Handles of one inode share one File, which is how a stat finds the queue
  // it has to wait for.
  void AddHandle(InodeId inode, const std::shared_ptr<File>& file);
  void RemoveHandle(InodeId inode);
  std::shared_ptr<File> OpenFile(InodeId inode) const;  // null if none is open
  std::vector<std::shared_ptr<File>> OpenFiles() const;

  // Every status on its way to the kernel passes here. Answers may overtake
  // each other, so the size becomes the largest this mount has seen.
  FileStatus Observe(FileStatus status);
  // Whether the inode was last seen with a set-user-id or set-group-id bit.
  bool HasSetId(InodeId inode) const;

  // Whether the kernel was told of the inode and has not forgotten it.
  bool Knows(InodeId inode) const;

  size_t size() const;

  static constexpr uint64_t kRootNode = 1;

 private:
  struct Node {
    uint64_t lookups = 0;
    uint64_t handles = 0;
    uint64_t largest_size = 0;
    bool set_id = false;
    std::shared_ptr<File> file;  // while handles > 0
  };

  const InodeId root_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<InodeId, Node> nodes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs::fuse
