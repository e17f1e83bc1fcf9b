#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"

namespace appendfs::fuse {

// One opendir(3). Entries come in rising order of their names, after "." and
// "..", and are fetched page by page as far as they are read.
//
// An offset means the place behind one entry for as long as the handle lives:
//
//   0 the beginning, 1 behind ".", 2 behind "..", else
//   page + 1 (23 bits) | index in the page (16 bits) | hash of the name (24 bits)
//
// The last pages are kept, so that a reader who goes back a little finds what it
// saw. Of an older page only the name before it is: going back there fetches
// the names that are in its range now, and looks for the one that the offset
// names; if that has been removed since, the page is shown from its start, for
// an entry shown twice is better than one left out. So a handle takes the
// memory of kKeptPages pages and of one name per page, however large the
// directory is.
//
// Offset 0 begins anew and sees what has changed. Thread-safe; a fetch blocks
// the handle's other readers.
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
  // INVALID for an offset that no read of this handle has given.
  using Show = absl::FunctionRef<bool(const DirectoryEntry& entry, uint64_t next)>;
  absl::Status Read(uint64_t offset, Show show);

  static constexpr uint32_t kPageEntries = 1000;
  static constexpr size_t kKeptPages = 8;

 private:
  using Page = std::vector<DirectoryEntry>;

  absl::Status Rewind() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The page, fetched if it is not kept; null if the directory ends before.
  absl::StatusOr<const Page*> GetPage(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Page> FetchNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Page> FetchAgain(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropFarthestFrom(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Client& client_;
  const InodeId inode_;
  const bool with_status_;
  absl::Mutex mutex_;
  InodeId parent_ ABSL_GUARDED_BY(mutex_);
  // Page i holds the names above marks_[i], up to and with marks_[i + 1]; the
  // last mark is where the next page will begin.
  std::vector<std::string> marks_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Page> kept_ ABSL_GUARDED_BY(mutex_);
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;  // behind the last mark there is nothing
  bool fresh_ ABSL_GUARDED_BY(mutex_) = false;     // nothing was read since the last rewind
};

}  // namespace appendfs::fuse
