#pragma once

#include <cstdint>
#include <string>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

struct FetchedBytes {
  Buffer payload;
  uint32_t crc32c = 0;          // of the payload; not yet verified
  uint64_t durable_length = 0;  // of the replica there
};

// Reads durable bytes of another server's replica; blocking, bounded in time.
class ChunkFetcher {
 public:
  static constexpr uint32_t kMaxBytes = 4u << 20;
  virtual ~ChunkFetcher() = default;
  virtual absl::StatusOr<FetchedBytes> Fetch(const std::string& address, ChunkHandle handle,
                                             Epoch epoch, uint64_t offset, uint32_t length) = 0;
};

}  // namespace appendfs
