#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "chunkserver/store/chunk_store.h"
#include "common/file_system.h"
#include "common/status.h"

namespace appendfs {

// The two small files at the top of a data directory (layout.h draws them).
// Both are replaced as a whole, so that a crash leaves the old or the new one.

struct IdentityFile {
  uint64_t journal_id = 0;
  StoreIdentity identity;
};
std::string EncodeIdentity(const IdentityFile& file);
// Errors: VERSION_MISMATCH, INPUT_OUTPUT. `path` is for the message.
absl::StatusOr<IdentityFile> DecodeIdentity(std::string_view content, const std::string& path);

// Handles that must not be created (again). Bounded: when too many are held
// one by one, everything up to the middle one counts as deleted. That is right
// because handles rise: a create that is still to come names a handle above
// any that was deleted tens of thousands of deletions ago.
class Tombstones {
 public:
  static constexpr size_t kMost = 64 << 10;

  void Add(ChunkHandle handle);
  void Forget(ChunkHandle handle) { handles_.erase(handle); }
  // Everything below `handle` counts as deleted.
  void RaiseTo(ChunkHandle handle);
  bool Contains(ChunkHandle handle) const { return handle < below_ || handles_.contains(handle); }
  ChunkHandle below() const { return below_; }
  const std::set<ChunkHandle>& handles() const { return handles_; }

 private:
  std::set<ChunkHandle> handles_;
  ChunkHandle below_{1};
};

struct CheckpointFile {
  uint64_t first_live_group = 1;  // earlier journal groups are contained in the sidecars
  uint64_t highest_handle = 0;    // ever held
  Tombstones deleted;
};
std::string EncodeCheckpoint(const CheckpointFile& file);
absl::StatusOr<CheckpointFile> DecodeCheckpoint(std::string_view content, const std::string& path);

}  // namespace appendfs
