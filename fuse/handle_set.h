#pragma once

#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace appendfs::fuse {

// Owns what the kernel refers to by pointer (fuse_file_info::fh) from open to
// release, and whatever it never released when the mount ends. Thread-safe.
template <class Handle>
class HandleSet {
 public:
  Handle* Add(std::shared_ptr<Handle> handle) {
    Handle* pointer = handle.get();
    absl::MutexLock lock(&mutex_);
    handles_[pointer] = std::move(handle);
    return pointer;
  }
  std::shared_ptr<Handle> Remove(Handle* pointer) {
    absl::MutexLock lock(&mutex_);
    auto node = handles_.extract(pointer);
    return node.empty() ? nullptr : std::move(node.mapped());
  }
  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return handles_.size();
  }

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<Handle*, std::shared_ptr<Handle>> handles_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs::fuse
