#include "master/chunks/placement.h"

#include <algorithm>
#include <tuple>

#include "common/str_cat.h"

namespace appendfs {
namespace {

// Growing chunks weigh more on a fuller server, so that disks of different
// sizes fill evenly.
double Load(const PlacementCandidate& candidate) {
  double free_share = candidate.capacity_bytes == 0
                          ? 0.01
                          : static_cast<double>(candidate.available_bytes) /
                                static_cast<double>(candidate.capacity_bytes);
  return (candidate.open_chunks + 1) / std::max(free_share, 0.01);
}

bool LessLoaded(const PlacementCandidate* a, const PlacementCandidate* b) {
  return std::tuple(a->suspect, Load(*a), a->primaries, a->server) <
         std::tuple(b->suspect, Load(*b), b->primaries, b->server);
}

}  // namespace

absl::StatusOr<ChunkPlacement> PlaceChunk(std::span<const PlacementCandidate> candidates,
                                          uint64_t chunk_bytes) {
  std::vector<const PlacementCandidate*> fit;
  for (const PlacementCandidate& candidate : candidates)
    if (candidate.available_bytes > chunk_bytes) fit.push_back(&candidate);
  if (fit.size() < kWriteQuorum) {
    if (candidates.size() < kWriteQuorum)
      return MakeError(v1::QUORUM_LOST, StrCat("new chunk: ", candidates.size(),
                                               " chunkservers are alive, 2 are needed"));
    return MakeError(v1::NO_SPACE, StrCat("new chunk: ", fit.size(), " of ", candidates.size(),
                                          " live chunkservers have room for ", chunk_bytes,
                                          " bytes, 2 are needed"));
  }
  std::sort(fit.begin(), fit.end(), LessLoaded);
  size_t count = 0;
  while (count < fit.size() && count < kReplicationFactor &&
         (count < kWriteQuorum || !fit[count]->suspect))
    ++count;
  fit.resize(count);

  ChunkPlacement placement;
  for (const PlacementCandidate* candidate : fit) placement.members.push_back(candidate->server);
  const PlacementCandidate* primary = *std::min_element(
      fit.begin(), fit.end(), [](const PlacementCandidate* a, const PlacementCandidate* b) {
        return std::tuple(a->suspect, a->primaries) < std::tuple(b->suspect, b->primaries);
      });
  placement.primary = primary->server;
  return placement;
}

ServerId PlaceCopy(std::span<const PlacementCandidate> candidates, uint64_t bytes,
                   std::span<const ServerId> exclude) {
  const PlacementCandidate* best = nullptr;
  for (const PlacementCandidate& candidate : candidates) {
    if (candidate.available_bytes <= bytes) continue;
    if (std::find(exclude.begin(), exclude.end(), candidate.server) != exclude.end()) continue;
    if (!best || LessLoaded(&candidate, best)) best = &candidate;
  }
  return best ? best->server : ServerId();
}

}  // namespace appendfs
