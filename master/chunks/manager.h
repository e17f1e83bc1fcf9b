#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "common/executor.h"
#include "master/chunks/chunk_manager.h"
#include "master/chunks/chunk_table.h"
#include "master/chunks/command_sender.h"
#include "master/chunks/garbage.h"
#include "master/chunks/repair_planner.h"
#include "master/chunks/server_client.h"
#include "master/chunks/server_table.h"
#include "master/chunks/tail_opener.h"

namespace appendfs {

// The ChunkManager of the master: drives the state machines of this directory
// with time, the log, the servers and the callers.
//
// One mutex guards them all. Whatever leaves (commands, proposals, reads of the
// tables, answers) is posted to the executor, so the mutex is never held while
// anything else is called; what comes back takes the mutex again.
//
// Its parts are in files of their own: manager.cc (start, ticks, log),
// manager_recovery.cc, manager_orders.cc, manager_tails.cc, manager_repair.cc,
// manager_registry.cc, manager_view.cc,
// manager_inspect.cc.
class Manager final : public ChunkManager, private TailOpener::Host {
 public:
  // The seams, owned: a test gives its own.
  struct Seams {
    std::unique_ptr<ServerClient> client;
    std::unique_ptr<Executor> executor;
  };
  static absl::StatusOr<std::unique_ptr<Manager>> Create(const ChunkManagerOptions& options,
                                                         MetaLog& log, const SessionTable& sessions,
                                                         const Clock& clock, uint64_t incarnation,
                                                         std::string cluster_uuid, Seams seams);
  ~Manager() override;

  void FillLocations(v1::Chunk& chunk) const override;
  void OpenTail(const v1::OpenTailRequest& request, Duration deadline, TailDone done) override;
  void ReportReplica(const v1::ReportReplicaRequest& report) override;
  void AddGarbage(std::vector<ChunkHandle> handles) override;
  Space space() const override;
  void Register(const v1::RegisterRequest& request, RegisterDone done) override;
  absl::Status ReportChunks(const v1::ReportChunksRequest& request) override;
  v1::HeartbeatResponse Heartbeat(const v1::HeartbeatRequest& request) override;
  v1::ListServersResponse ListServers() const override;
  void FillStatus(v1::GetStatusResponse& status) const override;
  std::vector<v1::ChunkInfo> InspectChunks(std::span<const v1::Chunk> chunks) override;
  void ForceSeal(const v1::ForceSealRequest& request, std::string host, ForceDone done) override;

 private:
  Manager(const ChunkManagerOptions& options, MetaLog& log, const SessionTable& sessions,
          const Clock& clock, uint64_t incarnation, std::string cluster_uuid, Seams seams);

  // --- manager.cc ------------------------------------------------------------
  absl::Status Load();
  void ScheduleTick();
  void Tick();
  bool SafeMode(Duration now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Proposes `op`; `done` runs with the mutex held.
  using Logged = absl::AnyInvocable<void(absl::StatusOr<v1::MetaResult>) &&>;
  void Propose(v1::MetaOp op, Logged done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Duration Now() const { return clock_.Monotonic(); }
  CommandTarget Target(const ServerState& server) const;
  v1::ServerAddress Address(ServerId server) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // --- manager_recovery.cc ---------------------------------------------------
  // What is known of a chunk's use when it is recovered.
  enum class Use {
    kNone,      // perhaps nobody appends: it is parked unless somebody asks for it
    kAppended,  // it is reopened
    kOver,      // full, or to be moved: it is sealed
  };
  // Starts it, or tells the recovery that is under way.
  void Recover(OpenChunk& chunk, std::string_view why, Use use)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Its heartbeats come.
  bool AnswersPromptly(ServerId server, Duration now) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  ChunkRecovery::Setup RecoverySetup(const OpenChunk& chunk, Use use, Duration now) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void RecoverAllWith(ServerId server, std::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Carries out what the chunk's recovery wants; may end it, and the chunk.
  void Drive(ChunkHandle handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::LogBegin& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::SendFence& action)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::SendConform& action)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::PickTarget& action)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::LogSeal& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::LogReopen& action)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::LogPark& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::SendOpen& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::Reopened& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::Parked& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::Sealed& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Act(OpenChunk& chunk, ChunkRecovery::Abandoned& action)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reload(ChunkHandle handle);
  v1::DedupMemory LiveMemory(v1::DedupMemory memory) const;
  void CloseOpen(ChunkHandle handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves a parked chunk among the open ones and has it reopened.
  void Unpark(const v1::ChunkRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerForced(ChunkHandle handle, const absl::StatusOr<uint64_t>& length)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellRecoveries(ServerId server, bool up, bool restarted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RollPairs(Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- manager_tails.cc: what the tail opener asks for, the mutex held ---------
  OpenChunk* OpenChunkOf(InodeId inode) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Recover(OpenChunk& chunk, std::string_view why, bool full) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadInode(InodeId inode) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<ChunkPlacement> Place() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ChunkHandle TakeHandle() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t chunk_bytes() const override { return options_.chunk_bytes; }
  void CreateReplicas(const ChunkPlacement& placement, v1::CreateChunksRequest::Item item) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DiscardReplicas(const ChunkCreation& creation) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Allocate(const ChunkCreation& creation, v1::AllocateChunkOp op) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SessionIsLive(ClientId client) const override;
  void Answer(TailDone done, absl::StatusOr<v1::Chunk> answer) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReserveHandles() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- manager_repair.cc -----------------------------------------------------
  void Repair(Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunRepair(RepairTask task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SealParked(const RepairTask& task, absl::StatusOr<std::optional<v1::ChunkRecord>> record);
  void ConformForRepair(const RepairTask& task,
                        absl::StatusOr<std::optional<v1::ChunkRecord>> record);
  void FinishRepair(const RepairTask& task, const absl::Status& status);
  void CollectGarbage(Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropChunk(ChunkHandle handle, std::vector<ServerId> servers, bool logged)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JudgeUnknown(ChunkHandle handle, ServerId server, Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- manager_registry.cc ---------------------------------------------------
  absl::Status Admit(const v1::RegisterRequest& request) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  v1::RegisterResponse Admitted(ServerId id, const v1::RegisterRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeReport(const ServerState& server, const v1::ReplicaReport& report, Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOpenReport(OpenChunk& chunk, ServerId server, const v1::ReplicaReport& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishReport(const ServerState& server, Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeEvent(ServerId from, const v1::ServerEvent& event, Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReplicaIsBad(ChunkHandle handle, ServerId server, bool gone, std::string_view why,
                    Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ServerIsGone(ServerId server, Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ChunkManagerOptions options_;
  const uint64_t incarnation_;
  const std::string cluster_uuid_;
  const Duration started_;

  MetaLog& log_;
  const SessionTable& sessions_;
  const Clock& clock_;
  std::unique_ptr<ServerClient> client_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<CommandSender> sender_;

  mutable absl::Mutex mutex_;
  ServerTable servers_ ABSL_GUARDED_BY(mutex_);
  ChunkTable chunks_ ABSL_GUARDED_BY(mutex_);
  TailOpener tails_ ABSL_GUARDED_BY(mutex_);
  RepairPlanner repair_ ABSL_GUARDED_BY(mutex_);
  GarbageCollector garbage_ ABSL_GUARDED_BY(mutex_);
  bool safe_mode_ ABSL_GUARDED_BY(mutex_) = true;
  Duration next_roll_ ABSL_GUARDED_BY(mutex_){};
  // Handles: what is reserved and not yet used, the end of all reservations,
  // and those given to attempts that are not in the log yet.
  uint64_t next_handle_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t handles_end_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t reserved_bound_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reserving_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<ChunkHandle> in_making_ ABSL_GUARDED_BY(mutex_);
  // Seals that an operator has forced and waits for.
  struct Forced {
    std::string host;
    v1::ForceSealResponse response;
    ForceDone done;
  };
  absl::flat_hash_map<ChunkHandle, Forced> forced_ ABSL_GUARDED_BY(mutex_);
  // Replicas that no file has, seen in safe mode: judged at its end.
  std::vector<std::pair<ChunkHandle, ServerId>> unknown_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
