#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"

namespace appendfs::fuse {

// One opendir(3). Entries are fetched page by page as far as they are read and
// kept until the directory is rewound, so that an offset always means the same
// entry: 0 is ".", 1 "..", then the names in rising order. Thread-safe; a
// fetch blocks the handle's other readers.
class DirectoryHandle {
 public:
  DirectoryHandle(Client& client, InodeId inode, bool with_status)
      : client_(client), inode_(inode), with_status_(with_status) {}

  InodeId inode() const { return inode_; }
  // Whether entries come with their attributes.
  bool with_status() const { return with_status_; }

  // Fetches the first page: NO_ENTRY if the directory is gone.
  absl::Status Open();
  // Shows entries from `offset` on, each with the offset that follows it, until
  // `show` returns false (that entry is not taken) or the directory ends.
  using Show = absl::FunctionRef<bool(const DirectoryEntry& entry, uint64_t next)>;
  absl::Status Read(uint64_t offset, Show show);

  static constexpr uint32_t kPageEntries = 1000;

 private:
  absl::Status Rewind() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FetchPage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Client& client_;
  const InodeId inode_;
  const bool with_status_;
  absl::Mutex mutex_;
  std::vector<DirectoryEntry> entries_ ABSL_GUARDED_BY(mutex_);
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;
  bool fresh_ ABSL_GUARDED_BY(mutex_) = false;  // nothing was read since the last rewind
};

}  // namespace appendfs::fuse
