#pragma once

#include <cstdint>
#include <vector>

#include "chunkserver/store/chunk_store.h"
#include "chunkserver/store/stored_replica.h"
#include "common/file_system.h"

namespace appendfs {

// One read of a replica: planned under the store's lock, run without it.
// Bytes from the chunk file are verified block by block; those from the tail
// are in memory since they were verified on arrival.
class ReadPlan {
 public:
  // [offset, offset + length) lies below the replica's durable length.
  ReadPlan(const StoredReplica& replica, uint64_t offset, uint64_t length);

  bool needs_file() const { return file_end_ > file_begin_; }
  uint64_t cuts() const { return cuts_; }

  struct Result {
    Buffer payload;
    uint32_t crc32c = 0;
  };
  // `file` may be null if it is not needed. CHECKSUM_MISMATCH: a block, or the
  // file's length, is not as it should be (or the replica was cut meanwhile);
  // the message is what is wrong, without the chunk's name.
  absl::StatusOr<Result> Run(const File* file) const;

 private:
  absl::Status Verify(const char* bytes, uint64_t begin, uint64_t end, uint32_t& sum) const;

  uint64_t offset_, end_;
  uint64_t cuts_;
  // What is read: whole blocks as far as they come from the file.
  uint64_t begin_, block_end_;
  uint64_t file_begin_ = 0, file_end_ = 0;
  std::vector<UnappliedTail::Piece> pieces_;
  uint64_t first_block_ = 0;
  std::vector<uint32_t> sums_;  // of the blocks from first_block_ on that the file is part of
};

}  // namespace appendfs
