#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "chunkserver/store/chunk_store.h"
#include "tests/sim/kernel.h"

namespace appendfs {
class StoreCore;
}

namespace appendfs::sim {

// Told of what the store says of a replica.
struct StoreWitness {
  std::function<void(ChunkHandle)> changed;
  std::function<void(ChunkHandle)> deleting, deleted;
  std::function<void()> wrote;  // power may have failed
};

// ChunkStore over StoreCore, as ThreadedChunkStore is, with a disk that takes
// simulated time instead of threads.
class SimChunkStore final : public ChunkStore {
 public:
  SimChunkStore(Kernel& kernel, Host& host, std::unique_ptr<StoreCore> core, StoreWitness witness);
  ~SimChunkStore() override;

  StoreIdentity identity() const override;
  absl::Status SetIdentity(const StoreIdentity& identity) override;
  void Start(StoreListener& listener) override;
  void Submit(StoreChange change, uint64_t token) override;
  void SetCommitted(ChunkHandle handle, uint64_t length) override;
  absl::StatusOr<ReadResult> Read(ChunkHandle handle, uint64_t offset, uint32_t length) override;
  absl::StatusOr<ReadResult> Fetch(ChunkHandle handle, uint64_t offset, uint32_t length) override;
  absl::StatusOr<ReplicaState> State(ChunkHandle handle) const override;
  std::vector<ReplicaState> List(ChunkHandle after, size_t limit) const override;
  absl::StatusOr<uint32_t> PrefixCrc32c(ChunkHandle handle, uint64_t length) override;
  absl::StatusOr<std::unique_ptr<Import>> BeginImport(const ReplicaIdentity& identity,
                                                      Epoch epoch) override;
  Usage usage() const override;

  // Journal groups synced so far.
  uint64_t groups() const { return groups_; }

 private:
  void Schedule(Duration delay);
  void Commit();
  void Background();
  void TellNews();

  Kernel& kernel_;
  Host& host_;
  const std::unique_ptr<StoreCore> core_;
  const StoreWitness witness_;
  StoreListener* listener_ = nullptr;
  std::set<uint64_t> deletions_;  // tokens
  bool scheduled_ = false;
  bool failure_told_ = false;
  bool idle_marked_ = false;
  uint64_t groups_ = 0;
};

}  // namespace appendfs::sim
