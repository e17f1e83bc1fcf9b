#pragma once

#include <string>

#include "chunkserver/engine/chunk_fetcher.h"
#include "chunkserver/engine/membership.h"
#include "common/clock.h"
#include "common/link/call_link.h"

namespace appendfs {

// Fetches from other servers over call links. Thread-safe.
class FetchClient final : public ChunkFetcher {
 public:
  FetchClient(const Membership& membership, IoThreads& threads, Executor& timers,
              const Clock& clock)
      : membership_(membership), clock_(clock), links_(threads, timers, clock) {}

  absl::StatusOr<FetchedBytes> Fetch(const std::string& address, ChunkHandle handle, Epoch epoch,
                                     uint64_t offset, uint32_t length) override;
  // Ends what is under way; later calls fail.
  void Stop() { links_.Stop(); }

 private:
  const Membership& membership_;
  const Clock& clock_;
  CallLinks links_;
};

}  // namespace appendfs
