#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

// The chunk appends go to now, as the master gave it.
struct AppendTail {
  ChunkHandle handle;
  Epoch epoch;
  ServerId primary;
  std::string address;  // of the primary, host:port

  bool Same(const AppendTail& other) const {
    return handle == other.handle && epoch == other.epoch;
  }
};

// What the master is asked for a tail with; a failed one is replaced.
struct TailQuestion {
  ChunkHandle failed_handle;  // none: just the present tail
  Epoch failed_epoch;
  Reason failed_reason = v1::REASON_UNSPECIFIED;
};

// One batch on its way to a primary. The bytes, checksum, sequence and
// predecessor of a batch are the same however often it is sent.
struct OutgoingBatch {
  ChunkHandle handle;
  Epoch epoch;
  Sequence sequence;
  Sequence predecessor;
  std::optional<FileOffset> expected;
  Buffer payload;
  uint32_t crc32c = 0;
};

// Numbers the batches of one client, over all its files: rising, never reused,
// so that a file closed and opened again goes on above what it sent before.
class SequenceSource {
 public:
  Sequence Next() { return Sequence(next_.fetch_add(1, std::memory_order_relaxed)); }

 private:
  std::atomic<uint64_t> next_{1};
};

}  // namespace appendfs
