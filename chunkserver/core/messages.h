#pragma once

#include <cstdint>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

// What the cores of the append protocol say to each other, to clients and to
// the master; proto/chunkserver.proto describes the same on the wire. Lengths
// and `offset`s are bytes within the chunk unless they are FileOffsets.

// A client's append stream at this server, as long as it lasts.
using StreamId = StrongId<struct StreamTag>;

// A batch as a client sends it.
struct ClientBatch {
  ChunkHandle handle;
  Epoch epoch;
  ClientId client;
  Sequence sequence;
  Sequence predecessor;  // none: the first of this client and inode
  bool conditional = false;
  FileOffset expected_offset;
  Buffer payload;
  uint32_t crc32c = 0;
  bool intact = true;  // the payload matches its checksum (summed outside the locks)
  StreamId stream;     // where the answer goes
};

// The answer to one batch.
struct ClientOutcome {
  ChunkHandle handle;
  Epoch epoch;
  Sequence sequence;
  FileOffset offset;            // if OK
  uint64_t mtime_ns = 0;        // if OK
  absl::Status status;          // OK: on a quorum
  uint64_t released_bytes = 0;  // of the stream's share of memory
};

// READY: a batch in the primary's order.
struct Ready {
  ChunkHandle handle;
  Epoch epoch;
  uint64_t offset = 0;
  Buffer payload;
  uint32_t crc32c = 0;
  ClientId client;
  Sequence sequence;
  uint64_t mtime_ns = 0;
  bool intact = true;
};

struct Commit {
  ChunkHandle handle;
  Epoch epoch;
  uint64_t length = 0;
};

// A replica's vote under `epoch`, or its refusal.
struct Vote {
  ChunkHandle handle;
  Epoch epoch;
  uint64_t durable_length = 0;
  absl::Status status;
};

// Does the epoch still stand?
struct Confirm {
  ChunkHandle handle;
  Epoch epoch;
  uint64_t round = 0;
};
struct ConfirmAnswer {
  ChunkHandle handle;
  uint64_t round = 0;
  Epoch promised;
  absl::Status status;  // an error confirms nothing
};

// The committed end of a chunk, fresh when it was answered.
struct FreshLength {
  uint64_t length = 0;
  uint64_t mtime_ns = 0;  // of the last committed append; 0 if there was none
  bool sealed = false;
};

// For the master.
struct ChunkEvent {
  enum class Kind { kReplicaLagging, kChunkFull, kReplicaBad, kReplicaGone, kChunkIdle };
  Kind kind = Kind::kReplicaLagging;
  ChunkHandle handle;
  Epoch epoch;
  ServerId about;
  friend bool operator==(const ChunkEvent&, const ChunkEvent&) = default;
};

}  // namespace appendfs
