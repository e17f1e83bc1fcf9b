#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/core/dedup_memory.h"
#include "chunkserver/store/chunk_store.h"

namespace appendfs {

// A ChunkStore in memory. Changes become durable when the test calls Complete,
// or, once RunByItself was called, on a thread of the store's own.
class FakeChunkStore final : public ChunkStore {
 public:
  FakeChunkStore() = default;
  ~FakeChunkStore() override;

  // Completes everything submitted so far as one group.
  void Complete();
  void RunByItself();
  // Every change from now on completes with this error.
  void FailWith(absl::Status status);
  // The stored bytes go bad.
  void Damage(ChunkHandle handle);
  void SetUnapplied(uint64_t bytes);
  std::string Bytes(ChunkHandle handle) const;
  size_t submitted() const;

  StoreIdentity identity() const override;
  absl::Status SetIdentity(const StoreIdentity& identity) override;
  void Start(StoreListener& listener) override { listener_ = &listener; }
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

 private:
  class FakeImport;
  struct Replica {
    ReplicaState state;
    DedupMemory memory;
    std::string bytes;
  };

  absl::Status Do(CreateReplica& change);
  absl::Status Do(AppendBatch& change);
  absl::Status Do(FenceReplica& change);
  absl::Status Do(ConformReplica& change);
  absl::Status Do(DeleteReplica& change);
  absl::StatusOr<ReadResult> Slice(ChunkHandle handle, uint64_t offset, uint32_t length,
                                   bool durable);
  Replica* Find(ChunkHandle handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  StoreListener* listener_ = nullptr;
  mutable absl::Mutex mutex_;
  StoreIdentity identity_ ABSL_GUARDED_BY(mutex_);
  std::map<ChunkHandle, Replica> replicas_ ABSL_GUARDED_BY(mutex_);
  std::set<ChunkHandle> deleted_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<StoreChange, uint64_t>> submitted_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  uint64_t unapplied_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace appendfs
