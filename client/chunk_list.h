#pragma once

#include <cstdint>
#include <vector>

#include "common/status.h"
#include "proto/master.pb.h"

namespace appendfs {

// Bytes of one chunk to be read from one of its replicas.
struct Piece {
  v1::Chunk chunk;
  uint64_t offset = 0;  // within the chunk
  uint32_t length = 0;
  uint64_t known_length = 0;  // committed bytes of the chunk, as known
};

// A file's chunks as the master told them last: where which bytes are. Not
// thread-safe.
class ChunkList {
 public:
  // `plan` holds the chunks from `from_index` on, and replaces what was known
  // of them.
  void Merge(uint32_t from_index, const v1::FilePlan& plan);
  bool loaded() const { return loaded_; }

  // Null if the file has no chunk.
  const v1::Chunk* last() const { return chunks_.empty() ? nullptr : &chunks_.back(); }
  // From which index on the master must be asked for what may have changed.
  uint32_t last_index() const { return chunks_.empty() ? 0 : chunks_.back().index(); }
  // File offset of the end of the last sealed or parked chunk.
  uint64_t settled_end() const;

  // What to read for [offset, offset + length) of a file that is known to be
  // committed up to `known_size`, in pieces of at most `piece_bytes` that end
  // at its multiples. STALE_EPOCH if the list does not know all of it (any
  // more).
  absl::StatusOr<std::vector<Piece>> Cut(uint64_t offset, uint64_t length, uint64_t known_size,
                                         uint64_t piece_bytes) const;

 private:
  bool loaded_ = false;
  std::vector<v1::Chunk> chunks_;  // rising by index and base offset
};

}  // namespace appendfs
