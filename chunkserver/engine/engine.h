#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/engine/chunk.h"
#include "chunkserver/engine/links.h"
#include "chunkserver/store/chunk_store.h"
#include "common/clock.h"
#include "common/executor.h"

namespace appendfs {

struct EngineOptions {
  Sequencer::Options sequencer;
  // Durable bytes not yet in chunk files above which clients, and far above
  // it other servers, are not read from.
  uint64_t client_unapplied_bytes = 48ull << 20;
  uint64_t peer_unapplied_bytes = 96ull << 20;
};

struct MemberAddress {
  ServerId id;
  std::string address;
};

struct CreateCommand {
  CreateReplica replica;
  std::vector<MemberAddress> members;  // this server included
  ServerId primary;
};

// A replica that has promised `epoch` and stands at `length`, all committed, is
// opened under it; without a primary it is only shown.
struct OpenCommand {
  ChunkHandle handle;
  Epoch epoch;
  uint64_t length = 0;
  uint64_t mtime_ns = 0;
  std::vector<MemberAddress> members;  // this server included
  ServerId primary;                    // none: at rest
};

struct FreshAsk {
  ChunkHandle handle;
  Epoch epoch;
  bool readable_here = false;
  absl::AnyInvocable<void(absl::StatusOr<FreshLength>) &&> answer;
};

// A replica as the master's report has it.
struct ReplicaSummary {
  ReplicaState state;  // without memory
  bool primary = false;
  bool degraded = false;
};

// All open chunks of one chunkserver: takes what streams, store and master
// say, runs the cores under one lock, and lets the streams and the store do
// what they decided. The lock is never held across I/O or a network write.
//
// Thread-safe. Callbacks given to it run without locks, on whichever thread
// made them true; those that may read from disk never on the store's. Owned by the process;
// outlives the store's threads.
class Engine final : public StoreListener, private ChunkHost {
 public:
  // Takes over the open replicas of `store`, as primary of none.
  Engine(ChunkStore& store, const Clock& clock, Executor& background, PeerLinks& links,
         EventSink& events, const EngineOptions& options);
  ~Engine() override;

  // Known since the first registration; before it nothing can be created.
  void SetSelf(ServerId self);

  // Client streams. Batches of one call are of one stream.
  StreamId AddClient(std::shared_ptr<ClientSink> sink);
  void RemoveClient(StreamId stream);
  void Append(std::span<const ClientBatch> batches);
  bool AdmitsClients() const { return admits_clients_.load(); }

  // As replica: what a primary sent.
  void AddPeer(const std::shared_ptr<VoteSink>& peer);
  void RemovePeer(const std::shared_ptr<VoteSink>& peer);
  void OnReplicate(const std::shared_ptr<VoteSink>& from, std::span<const Ready> ready,
                   std::span<const Commit> commits, std::span<const Confirm> confirms);
  bool AdmitsPeers() const { return admits_peers_.load(); }

  // As primary: what a replica answered.
  void OnVotes(ServerId from, std::span<const Vote> votes, std::span<const ConfirmAnswer> confirms);
  void OnPeerBroken(ServerId peer);

  void AskFresh(std::vector<FreshAsk> questions);
  // Newest epoch promised, of open replicas; none: not open here.
  Epoch PromisedEpoch(ChunkHandle handle) const;

  // Commands. `done` comes when the change is durable, or refused.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;
  using FenceDone = absl::AnyInvocable<void(absl::StatusOr<ReplicaState>) &&>;
  void Create(CreateCommand command, Done done);
  void Fence(ChunkHandle handle, Epoch epoch, FenceDone done);
  // Errors: STALE_EPOCH (a newer promise), INVALID (it stands elsewhere).
  void Open(OpenCommand command, Done done);
  void Delete(ChunkHandle handle, Done done);
  // A change that the caller has fenced off; Reload when the last one is done.
  // Refused with STALE_EPOCH if the chunk has been opened since.
  void Apply(StoreChange change, Done done);
  // The store's replica was changed past the cores.
  void Reload(ChunkHandle handle);

  std::vector<ReplicaSummary> List(ChunkHandle after, size_t limit) const;
  absl::StatusOr<ReplicaSummary> Inspect(ChunkHandle handle) const;
  bool store_failed() const { return store_failed_.load(std::memory_order_acquire); }
  // How often replicas were lost with their disk: the master needs a new report then.
  uint64_t losses() const { return losses_.load(std::memory_order_acquire); }

  // Refuses appends from now on; what is not committed is left open.
  void StopAppends();

  // StoreListener
  void OnDurable(std::span<const StoreCompletion> completions) override;
  void OnStoreFailed(const absl::Status& why) override;
  void OnReplicasLost(std::span<const ChunkHandle> handles, const absl::Status& why) override;
  void OnReplicaDamaged(ChunkHandle handle, const std::string& why) override;

  // Time-outs and back-pressure; to be called every kTickInterval.
  static constexpr Duration kTickInterval = std::chrono::milliseconds(50);
  void Tick();

  // How long what can wait for its like does.
  static constexpr Duration kGather = std::chrono::milliseconds(2);

 private:
  class Pass;
  using StoredCall = absl::AnyInvocable<void(const StoreCompletion&) &&>;

  // ChunkHost
  Turn& turn() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return *turn_; }
  ChunkStore& store() override { return store_; }
  std::shared_ptr<ClientSink> client(StreamId stream) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::unique_ptr<Chunk> MakeChunk(const ReplicaState& state) {
    return std::make_unique<Chunk>(static_cast<ChunkHost&>(*this), state);
  }
  Chunk* Find(ChunkHandle handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why a handle that is not open is not.
  absl::Status WhyNotOpen(ChunkHandle handle) const;
  void Drop(ChunkHandle handle, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Submit(StoreChange change, StoredCall call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnCreated(const CreateReplica& created, bool primary, std::vector<Chunk::Member> members)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CreatedBefore(const CreateReplica& created, bool primary)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckOpen(const OpenCommand& command, const ReplicaState& state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnOpened(const OpenCommand& command, std::vector<Chunk::Member> members)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Chunk::Member> MembersFor(const std::vector<MemberAddress>& members,
                                        ServerId primary);
  void Watch(ChunkHandle handle, const Chunk& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refuse(const ClientBatch& batch, absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Admit();
  void GatherFor(std::shared_ptr<Outlet> outlet) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FlushGathered();

  ChunkStore& store_;
  const Clock& clock_;
  Executor& background_;
  PeerLinks& links_;
  EventSink& events_;
  const EngineOptions options_;
  std::atomic<bool> admits_clients_{true};
  std::atomic<bool> admits_peers_{true};
  std::atomic<bool> store_failed_{false};
  std::atomic<uint64_t> losses_{0};

  mutable absl::Mutex mutex_;
  Turn* turn_ ABSL_GUARDED_BY(mutex_) = nullptr;          // of the pass that holds the lock
  bool on_store_thread_ ABSL_GUARDED_BY(mutex_) = false;  // the pass runs on the journal's thread
  ServerId self_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<ChunkHandle, std::unique_ptr<Chunk>> chunks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<ChunkHandle> watched_ ABSL_GUARDED_BY(mutex_);  // those time matters to
  absl::flat_hash_map<StreamId, std::shared_ptr<ClientSink>> clients_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::shared_ptr<VoteSink>> peers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::shared_ptr<Outlet>> flush_later_ ABSL_GUARDED_BY(mutex_);  // at the tick
  std::vector<std::shared_ptr<Outlet>> gathering_ ABSL_GUARDED_BY(mutex_);  // FlushGathered is due
  StreamId last_stream_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_token_ ABSL_GUARDED_BY(mutex_) = 0;
  Duration next_idle_look_ ABSL_GUARDED_BY(mutex_){};
  absl::flat_hash_map<uint64_t, StoredCall> stored_calls_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, decltype(FreshAsk::answer)> questions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
