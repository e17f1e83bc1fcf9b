#pragma once

#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/str_cat.h"
#include "master/chunks/chunk_manager.h"

namespace appendfs {

// A chunk manager without servers: gives every replica an address that can be
// recognised, and remembers what it was told.
class StillChunkManager final : public ChunkManager {
 public:
  void FillLocations(v1::Chunk& chunk) const override {
    for (v1::ServerAddress& replica : *chunk.mutable_replicas())
      replica.set_address(StrCat("server-", replica.server_id()));
  }
  void OpenTail(const v1::OpenTailRequest&, Duration deadline, TailDone done) override {
    absl::MutexLock lock(&mutex_);
    tail_deadline_ = deadline;
    tail_done_ = std::move(done);
  }
  void ReportReplica(const v1::ReportReplicaRequest& report) override {
    absl::MutexLock lock(&mutex_);
    reported_ = report.handle();
  }
  void AddGarbage(std::vector<ChunkHandle> handles) override {
    absl::MutexLock lock(&mutex_);
    garbage_.insert(garbage_.end(), handles.begin(), handles.end());
  }
  Space space() const override { return {3000, 1500}; }
  void Register(const v1::RegisterRequest&, RegisterDone done) override {
    std::move(done)(MakeError(v1::NOT_SUPPORTED, "no servers here"));
  }
  absl::Status ReportChunks(const v1::ReportChunksRequest&) override { return absl::OkStatus(); }
  v1::HeartbeatResponse Heartbeat(const v1::HeartbeatRequest&) override { return {}; }
  v1::ListServersResponse ListServers() const override {
    v1::ListServersResponse response;
    response.add_servers()->set_server_id(4);
    return response;
  }
  void FillStatus(v1::GetStatusResponse& status) const override { status.set_health("ok"); }
  std::vector<v1::ChunkInfo> InspectChunks(std::span<const v1::Chunk> chunks) override {
    std::vector<v1::ChunkInfo> infos;
    for (const v1::Chunk& chunk : chunks) {
      v1::ChunkInfo& info = infos.emplace_back();
      *info.mutable_chunk() = chunk;
      FillLocations(*info.mutable_chunk());
      v1::ReplicaInfo& replica = *info.add_replicas();
      replica.set_server_id(chunk.replicas(0).server_id());
      replica.set_reachable(true);
    }
    return infos;
  }
  void ForceSeal(const v1::ForceSealRequest& request, std::string, ForceDone done) override {
    v1::ForceSealResponse response;
    response.set_handle(request.handle());
    response.set_sealed(request.lose_data());
    std::move(done)(std::move(response));
  }

  // --- what it was told --------------------------------------------------------
  std::vector<ChunkHandle> garbage() const {
    absl::MutexLock lock(&mutex_);
    return garbage_;
  }
  uint64_t reported() const {
    absl::MutexLock lock(&mutex_);
    return reported_;
  }
  Duration tail_deadline() const {
    absl::MutexLock lock(&mutex_);
    return tail_deadline_;
  }
  // The answer to the last OpenTail, once it has been asked.
  TailDone TakeTail() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](TailDone* done) { return static_cast<bool>(*done); }, &tail_done_));
    return std::exchange(tail_done_, nullptr);
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<ChunkHandle> garbage_ ABSL_GUARDED_BY(mutex_);
  uint64_t reported_ ABSL_GUARDED_BY(mutex_) = 0;
  Duration tail_deadline_ ABSL_GUARDED_BY(mutex_){};
  TailDone tail_done_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
