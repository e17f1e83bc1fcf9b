#pragma once

#include <cstdint>
#include <vector>

#include "chunkserver/store/stored_replica.h"
#include "common/file_system.h"
#include "common/status.h"

namespace appendfs {

// Moves durable bytes from a replica's tail to its chunk file. Planned and
// finished under the store's lock; what lies between touches only the file and
// needs no lock. One at a time per replica.
struct ApplyPlan {
  ChunkHandle handle;
  uint64_t from = 0;  // the chunk file holds everything below
  uint64_t to = 0;
  uint64_t cuts = 0;
  bool truncate = false;  // the file holds bytes at or above `from` of no meaning
  std::vector<UnappliedTail::Piece> pieces;

  bool empty() const { return pieces.empty() && !truncate; }
  // Writes, and does not sync.
  absl::Status Run(File& file) const;
};

ApplyPlan PlanApply(const StoredReplica& replica, uint64_t to);
// A replica that was cut since is left as it is: what was written counts for
// nothing.
void FinishApply(const ApplyPlan& plan, StoredReplica& replica);

}  // namespace appendfs
