#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chunkserver/store/chunk_store.h"
#include "common/file_system.h"

namespace appendfs {

// What a check of a data directory found.
struct DirectoryCheck {
  StoreIdentity identity;
  uint64_t replicas = 0;
  uint64_t damaged_replicas = 0;
  uint64_t bytes = 0;                 // of all replicas that are not damaged, every one verified
  uint64_t journal_groups = 0;        // that a start would replay
  bool torn_tail = false;             // of the journal; harmless: it was never acknowledged
  std::vector<std::string> problems;  // one line each: the thing and what is wrong with it
};

// Reads everything in a data directory that no server is using, and checks it
// as a start and a reader would: identity, journal, sidecars, every block of
// every chunk. Changes nothing. An error means that the directory could not be
// checked (it is in use, or is none).
absl::StatusOr<DirectoryCheck> CheckDirectory(FileSystem& fs, const std::string& directory);

}  // namespace appendfs
