#pragma once

#include "chunkserver/engine/conformer.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/membership.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// The master's commands: checks where they come from, has them carried out and
// waits until they are durable. Items are answered one by one; an error is
// returned only for a command that is refused as a whole. Blocking;
// thread-safe. Conform may take long and gets threads of its own.
class Control {
 public:
  Control(Engine& engine, ChunkStore& store, Conformer& conformer, Membership& membership);

  absl::Status CreateChunks(const v1::CreateChunksRequest& request,
                            v1::CreateChunksResponse& response);
  absl::Status Fence(const v1::FenceRequest& request, v1::FenceResponse& response);
  absl::Status Conform(const v1::ConformRequest& request, v1::ConformResponse& response);
  absl::Status OpenChunks(const v1::OpenChunksRequest& request, v1::OpenChunksResponse& response);
  absl::Status DeleteChunks(const v1::DeleteChunksRequest& request,
                            v1::DeleteChunksResponse& response);
  absl::Status Inspect(const v1::InspectRequest& request, v1::InspectResponse& response);

 private:
  void AnswerFence(const absl::StatusOr<ReplicaState>& state, v1::FenceResponse::Item& item);

  Engine& engine_;
  ChunkStore& store_;
  Conformer& conformer_;
  Membership& membership_;
};

}  // namespace appendfs
