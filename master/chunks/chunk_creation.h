#pragma once

#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/chunks/placement.h"

namespace appendfs {

// One attempt to make a chunk on the servers that placement chose. A chunk
// opens with exactly the servers that durably created it, and each of them is
// told who the members are: so if one of them fails, all is thrown away and
// another attempt, with another handle, is made without it. A plain state
// machine.
class ChunkCreation {
 public:
  enum class State { kWaiting, kCreated, kFailed };

  ChunkCreation(ChunkHandle handle, ChunkPlacement placement)
      : handle_(handle), placement_(std::move(placement)), answers_(placement_.members.size()) {}

  void OnAnswer(ServerId server, const absl::Status& status, Duration now);
  // With a quorum there, the rest is not waited for for long.
  State Evaluate(Duration now) const;
  // Did not create it, or not in time.
  std::vector<ServerId> Failed() const;
  // Of one that failed; OK if they were merely slow.
  absl::Status failure() const { return failure_; }

  ChunkHandle handle() const { return handle_; }
  const ChunkPlacement& placement() const { return placement_; }

 private:
  enum class Answer { kNone, kCreated, kFailed };

  const ChunkHandle handle_;
  const ChunkPlacement placement_;
  std::vector<Answer> answers_;  // beside placement_.members
  Duration quorum_since_{};      // enough have created it
  absl::Status failure_;
};

}  // namespace appendfs
