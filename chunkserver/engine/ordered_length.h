#pragma once

#include <algorithm>
#include <cstdint>

#include "chunkserver/store/chunk_store.h"

namespace appendfs {

// How much of an open replica came in whole batches: every batch leaves an
// outcome in the memory. What a copy that was broken off has left behind it may
// end within a batch, and nobody remembers its batches; it must not be agreed
// on. So no memory is ever thinned out while its chunk is open.
inline uint64_t OrderedLength(const ReplicaState& state) {
  uint64_t end = state.identity.base_offset;
  for (const v1::ClientMemory& client : state.memory.clients())
    for (const v1::ClientMemory::Outcome& outcome : client.outcomes())
      end = std::max(end, outcome.offset() + outcome.length());
  return std::min(state.durable_length, end - state.identity.base_offset);
}

}  // namespace appendfs
