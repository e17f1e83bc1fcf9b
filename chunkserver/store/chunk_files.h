#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/file_system.h"
#include "common/ids.h"

namespace appendfs {

// Open chunk files of one data directory, the most recently used kept open.
// Thread-safe; no lock is held while a file is opened.
class ChunkFiles {
 public:
  static constexpr size_t kMostOpen = 384;  // well below the usual limit of 1024 descriptors

  ChunkFiles(FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}

  // Errors: NO_ENTRY if it is missing and not to be created.
  absl::StatusOr<std::shared_ptr<File>> Open(ChunkHandle handle, bool create);
  // After a file was replaced or removed.
  void Forget(ChunkHandle handle);

 private:
  FileSystem& fs_;
  const std::string directory_;

  using Recent = std::list<std::pair<ChunkHandle, std::shared_ptr<File>>>;
  absl::Mutex mutex_;
  Recent recent_ ABSL_GUARDED_BY(mutex_);  // newest first
  absl::flat_hash_map<ChunkHandle, Recent::iterator> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
