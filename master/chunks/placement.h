#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

// A live server as placement sees it.
struct PlacementCandidate {
  ServerId server;
  uint64_t capacity_bytes = 0;
  uint64_t available_bytes = 0;
  uint32_t open_chunks = 0;  // replicas that still grow
  uint32_t primaries = 0;    // of those, it orders the appends
  bool suspect = false;      // failed a command lately: taken only when there is no choice
};

struct ChunkPlacement {
  std::vector<ServerId> members;  // two or three, different
  ServerId primary;               // one of them
};

// Where a new chunk goes: up to three servers with room for it, the least
// loaded first. A suspect is taken only to make up the write quorum. Errors:
// QUORUM_LOST (too few servers live), NO_SPACE (enough live, too few with room).
absl::StatusOr<ChunkPlacement> PlaceChunk(std::span<const PlacementCandidate> candidates,
                                          uint64_t chunk_bytes);

// The least loaded server with room for `bytes`, none of `exclude`; none if
// there is no such server.
ServerId PlaceCopy(std::span<const PlacementCandidate> candidates, uint64_t bytes,
                   std::span<const ServerId> exclude);

}  // namespace appendfs
