#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"
#include "common/link/io_threads.h"
#include "common/status.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// What a replica sent; nothing about it has been verified yet.
struct ReadReply {
  uint64_t committed_length = 0;  // of the chunk, as known there
  uint32_t crc32c = 0;            // of the payload, by the server
  Buffer payload;
};

// A tail's end, as confirmed by its primary.
struct TailLength {
  uint64_t length = 0;    // committed bytes of the chunk
  uint64_t mtime_ns = 0;  // of its last append; 0: none
  bool sealed = false;
};

// Chunkservers as readers call them; one attempt per call, answered by
// `deadline` (Clock::Monotonic) from a link's thread or the timers'.
// Thread-safe; outlives these threads.
class ChunkClient {
 public:
  static std::unique_ptr<ChunkClient> Create(std::string cluster_uuid, IoThreads& threads,
                                             Executor& timers, const Clock& clock);
  virtual ~ChunkClient() = default;
  // Ends all calls; later ones fail.
  virtual void Stop() {}

  using ReadDone = absl::AnyInvocable<void(absl::StatusOr<ReadReply>) &&>;
  virtual void Read(const std::string& address, const v1::ReadRequest& request, Duration deadline,
                    ReadDone done) = 0;

  // Questions to one server that come while another is under way share the
  // next message, so that a listing of many growing files is a few calls.
  using LengthDone = absl::AnyInvocable<void(absl::StatusOr<TailLength>) &&>;
  virtual void AskLength(const std::string& address, ChunkHandle handle, Epoch epoch,
                         Duration deadline, LengthDone done) = 0;
};

}  // namespace appendfs
