#include <glog/logging.h>

#include <variant>

#include "common/planted.h"
#include "common/str_cat.h"
#include "master/chunks/manager.h"
#include "master/namespace/reads.h"
#include "master/sessions/session_table.h"

namespace appendfs {
namespace {

constexpr Duration kReload = std::chrono::seconds(1);
constexpr Duration kRollCheck = std::chrono::seconds(1);
constexpr Duration kRollAge = std::chrono::seconds(5);         // of a chunk on two servers
constexpr Duration kCreateFailure = std::chrono::seconds(60);  // keeps a server from causing rolls

}  // namespace

void Manager::Recover(OpenChunk& chunk, std::string_view why) {
  if (chunk.recovery) return;
  LOG(INFO) << "recovery starts: chunk=" << chunk.handle() << " epoch=" << chunk.epoch()
            << " inode=" << chunk.inode() << ": " << why;
  std::vector<ChunkRecovery::MemberInit> members;
  for (const OpenChunk::Member& member : chunk.members)
    members.push_back({member.server, servers_.IsAlive(member.server)});
  chunk.recovery =
      std::make_unique<ChunkRecovery>(members, chunk.primary(), chunk.epoch(), RecoveryOptions{});
  chunk.recovery->Start(Now());
  Drive(chunk.handle());
}

void Manager::RecoverAllWith(ServerId server, std::string_view why) {
  std::vector<ChunkHandle> handles;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    if (!chunk.recovery && chunk.HasMember(server)) handles.push_back(chunk.handle());
  });
  for (ChunkHandle handle : handles) Recover(*chunks_.FindOpen(handle), why);
}

void Manager::TellRecoveries(ServerId server, bool up) {
  const Duration now = Now();
  std::vector<ChunkHandle> handles;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    if (!chunk.recovery) return;
    up ? chunk.recovery->OnServerUp(server, now) : chunk.recovery->OnServerDown(server, now);
    handles.push_back(chunk.handle());
  });
  for (ChunkHandle handle : handles) Drive(handle);
}

void Manager::Drive(ChunkHandle handle) {
  for (;;) {
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    std::vector<ChunkRecovery::Action> actions = chunk->recovery->TakeActions();
    if (actions.empty()) return;
    for (ChunkRecovery::Action& action : actions)
      std::visit([&](auto& what) ABSL_NO_THREAD_SAFETY_ANALYSIS { Act(*chunk, what); }, action);
  }
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::LogBegin& action) {
  v1::MetaOp op;
  op.mutable_begin_recovery()->set_handle(chunk.handle().value());
  op.mutable_begin_recovery()->set_epoch(action.epoch.value());
  Propose(std::move(op), [this, handle = chunk.handle()](absl::StatusOr<v1::MetaResult> result)
                             ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               OpenChunk* chunk = chunks_.FindOpen(handle);
                               if (!chunk || !chunk->recovery) return;
                               if (result.ok()) {
                                 // The answer holds the record as it is now.
                                 if (chunk->primary())
                                   servers_.AddOpenReplica(chunk->primary(), true, -1),
                                       servers_.AddOpenReplica(chunk->primary(), false, 1);
                                 chunk->record = result->chunk().chunk();
                               }
                               chunk->recovery->OnBeginLogged(result.status(), Now());
                               Drive(handle);
                             });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::SendFence& action) {
  const ServerState* server = servers_.Find(action.server);
  v1::FenceRequest::Item item;
  item.set_handle(chunk.handle().value());
  item.set_epoch(action.epoch.value());
  auto done = [this, handle = chunk.handle(), id = action.server,
               epoch = action.epoch](absl::StatusOr<v1::FenceResponse::Item> result) mutable {
    absl::StatusOr<FenceAnswer> answer = FenceAnswer{};
    if (result.ok()) {
      answer = FenceAnswer{result->durable_length(), result->crc32c(), result->mtime_ns(),
                           result->sealed(), std::move(*result->mutable_memory())};
    } else {
      answer = result.status();
    }
    absl::MutexLock lock(&mutex_);
    if (!answer.ok()) {
      LOG(WARNING) << "fence fails: chunk=" << handle << " epoch=" << epoch << " server=" << id
                   << ": " << answer.status().message();
      if (IsTransient(answer.status())) servers_.Suspect(id, Now(), false);
    }
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    chunk->recovery->OnFenceAnswer(id, epoch, std::move(answer), Now());
    Drive(handle);
  };
  executor_->Post(
      [this, target = Target(*server), item = std::move(item), done = std::move(done)]() mutable {
        sender_->Fence(target, std::move(item), std::move(done));
      });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::SendConform& action) {
  const ServerState* server = servers_.Find(action.server);
  v1::ConformRequest::Item item;
  item.set_handle(chunk.handle().value());
  item.set_inode(chunk.inode().value());
  item.set_epoch(action.epoch.value());
  item.set_base_offset(chunk.record.base_offset());
  item.set_length(action.length);
  for (ServerId source : action.sources) *item.add_sources() = Address(source);
  *item.mutable_memory() = std::move(action.memory);
  item.set_mtime_ns(action.mtime_ns);
  item.set_check_crc(true);
  item.set_crc32c(action.crc32c);
  auto done = [this, handle = chunk.handle(), id = action.server,
               epoch = action.epoch](absl::StatusOr<v1::ConformResponse::Item> result) {
    absl::MutexLock lock(&mutex_);
    if (!result.ok()) {
      LOG(WARNING) << "copy fails: chunk=" << handle << " epoch=" << epoch << " server=" << id
                   << ": " << result.status().message();
      if (IsTransient(result.status())) servers_.Suspect(id, Now(), false);
    }
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    chunk->recovery->OnConformAnswer(id, epoch, result.status(), Now());
    Drive(handle);
  };
  executor_->Post(
      [this, target = Target(*server), item = std::move(item), done = std::move(done)]() mutable {
        sender_->Conform(target, std::move(item), std::move(done));
      });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::PickTarget& action) {
  const Duration now = Now();
  std::vector<PlacementCandidate> candidates = servers_.Candidates(now);
  ServerId target = PlaceCopy(candidates, action.bytes, action.exclude);
  chunk.recovery->OnTarget(target, now);
}

v1::DedupMemory Manager::LiveMemory(v1::DedupMemory memory) const {
  v1::DedupMemory live;
  for (v1::ClientMemory& client : *memory.mutable_clients())
    if (sessions_.IsLive(ClientId(client.client_id()))) live.add_clients()->Swap(&client);
  return live;
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::LogSeal& action) {
  v1::MetaOp op;
  v1::SealChunkOp& seal = *op.mutable_seal_chunk();
  seal.set_handle(chunk.handle().value());
  seal.set_epoch(action.epoch.value());
  seal.set_length(action.length);
  seal.set_crc32c(action.crc32c);
  if (!PLANTED(kForgetOnRoll)) *seal.mutable_memory() = LiveMemory(std::move(action.memory));
  seal.set_mtime_ns(action.mtime_ns);
  Propose(std::move(op), [this, handle = chunk.handle()](absl::StatusOr<v1::MetaResult> result)
                             ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               OpenChunk* chunk = chunks_.FindOpen(handle);
                               if (!chunk || !chunk->recovery) return;
                               if (result.ok()) chunk->record = result->chunk().chunk();
                               chunk->recovery->OnSealLogged(result.status(), Now());
                               Drive(handle);
                             });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::Sealed& action) {
  const ChunkHandle handle = chunk.handle();
  const InodeId inode = chunk.inode();
  const v1::Chunk record = chunk.record;
  const Duration now = Now();
  LOG(INFO) << "sealed: chunk=" << handle << " epoch=" << record.epoch() << " inode=" << inode
            << " length=" << record.length();
  CloseOpen(handle);
  if (record.length() == 0) {
    std::vector<ServerId> servers = action.holders;
    servers.insert(servers.end(), action.strays.begin(), action.strays.end());
    garbage_.Add(handle, servers, true);
  } else {
    SealedChunk& sealed =
        chunks_.AddSealed(handle, record.length(), record.crc32c(), Epoch(record.epoch()));
    for (ServerId server : action.holders)
      sealed.Set(servers_.SlotOf(server), ReplicaHealth::kHolder);
    for (ServerId server : action.strays)
      sealed.Set(servers_.SlotOf(server), ReplicaHealth::kStray);
    repair_.Look(handle, now);
  }
  tails_.OnChunkClosed(inode, now);
  Repair(now);
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::Abandoned& action) {
  const ChunkHandle handle = chunk.handle();
  const InodeId inode = chunk.inode();
  LOG(WARNING) << "recovery abandoned: chunk=" << handle << " epoch=" << chunk.epoch()
               << " inode=" << inode << ": " << action.why.message();
  if (!HasReason(action.why, v1::UNKNOWN_CHUNK) && !HasReason(action.why, v1::NO_ENTRY)) {
    // The log knows better: go on from what it holds.
    executor_->PostAfter(kReload, [this, handle] { Reload(handle); });
    return;
  }
  CloseOpen(handle);
  tails_.OnChunkClosed(inode, Now());
}

void Manager::Reload(ChunkHandle handle) {
  absl::StatusOr<std::optional<v1::ChunkRecord>> record = GetChunk(*log_.Snapshot(), handle);
  absl::MutexLock lock(&mutex_);
  OpenChunk* chunk = chunks_.FindOpen(handle);
  if (!chunk || !record.ok()) return;
  if (!record->has_value()) return CloseOpen(handle);
  chunk->recovery.reset();
  chunk->record = (*record)->chunk();
  if (chunk->record.state() == v1::SEALED) {
    ChunkRecovery::Sealed sealed;
    for (const OpenChunk::Member& member : chunk->members) sealed.strays.push_back(member.server);
    return Act(*chunk, sealed);
  }
  Recover(*chunk, "again, as it stands in the log");
}

void Manager::CloseOpen(ChunkHandle handle) {
  OpenChunk* chunk = chunks_.FindOpen(handle);
  if (!chunk) return;
  for (const OpenChunk::Member& member : chunk->members)
    servers_.AddOpenReplica(member.server, member.server == chunk->primary(), -1);
  chunks_.RemoveOpen(handle);
}

void Manager::RollPairs(Duration now) {
  if (safe_mode_ || now < next_roll_) return;
  next_roll_ = now + kRollCheck;
  std::vector<ServerId> fit;
  for (const ServerState& server : servers_.all())
    if (server.alive && server.reported && now >= server.suspect_until &&
        now - std::max(server.last_failed_create, Duration::zero() - kCreateFailure) >=
            kCreateFailure &&
        server.available_bytes > options_.chunk_bytes)
      fit.push_back(server.id);
  if (fit.size() < kReplicationFactor) return;
  std::vector<ChunkHandle> handles;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    if (!chunk.recovery && chunk.members.size() < kReplicationFactor &&
        now - chunk.since >= kRollAge)
      handles.push_back(chunk.handle());
  });
  for (ChunkHandle handle : handles)
    Recover(*chunks_.FindOpen(handle), "it is on two servers and a third is there");
}

}  // namespace appendfs
