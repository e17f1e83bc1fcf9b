// The manager where a recovery comes to its end: what is logged, what the
// servers are told, and what becomes of the chunk.
#include <glog/logging.h>

#include "common/planted.h"
#include "common/str_cat.h"
#include "master/chunks/manager.h"
#include "master/namespace/reads.h"
#include "master/sessions/session_table.h"

namespace appendfs {
namespace {

constexpr Duration kReload = std::chrono::seconds(1);
// A chunk that is reopened again and again, each time soon after the last.
constexpr Duration kHasty = std::chrono::seconds(10);
constexpr int kHastyAtOnce = 3;
constexpr Duration kFirstBackoff = std::chrono::milliseconds(250);
constexpr Duration kLongestBackoff = std::chrono::seconds(30);

// A known bug: a client that has not appended here is a stranger in the next chunk.
void ForgetBefore(uint64_t offset, v1::DedupMemory& memory) {
  v1::DedupMemory kept;
  for (const v1::ClientMemory& client : memory.clients())
    if (client.outcomes_size() > 0 && client.outcomes().rbegin()->offset() >= offset)
      *kept.add_clients() = client;
  memory = std::move(kept);
}

}  // namespace

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
  if (PLANTED(kForgetOlder)) ForgetBefore(chunk.record.base_offset(), *seal.mutable_memory());
  seal.set_mtime_ns(action.mtime_ns);
  if (action.forced) {
    v1::ForcedSeal& forced = *seal.mutable_forced();
    if (auto by = forced_.find(chunk.handle()); by != forced_.end())
      forced.set_operator_host(by->second.host);
    for (ServerId server : action.answered) forced.add_answered(server.value());
    for (ServerId server : action.missing) forced.add_missing(server.value());
  }
  Propose(std::move(op), [this, handle = chunk.handle()](absl::StatusOr<v1::MetaResult> result)
                             ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               OpenChunk* chunk = chunks_.FindOpen(handle);
                               if (!chunk || !chunk->recovery) return;
                               if (result.ok()) chunk->record = result->chunk().chunk();
                               chunk->recovery->OnSealLogged(result.status(), Now());
                               Drive(handle);
                             });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::LogReopen& action) {
  std::vector<ServerId> members;
  for (const OpenChunk::Member& member : chunk.members) members.push_back(member.server);
  const ServerId primary = servers_.ChoosePrimary(members, Now());
  v1::MetaOp op;
  v1::ReopenChunkOp& reopen = *op.mutable_reopen_chunk();
  reopen.set_handle(chunk.handle().value());
  reopen.set_epoch(action.epoch.value());
  reopen.set_primary_id(primary.value());
  reopen.set_length(action.length);
  reopen.set_mtime_ns(action.mtime_ns);
  Propose(std::move(op), [this, handle = chunk.handle(), primary](
                             absl::StatusOr<v1::MetaResult> result) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    if (result.ok()) {
      chunk->record = result->chunk().chunk();
      servers_.AddOpenReplica(primary, false, -1);
      servers_.AddOpenReplica(primary, true, 1);
    }
    chunk->recovery->OnReopenLogged(result.status(), primary, Now());
    Drive(handle);
  });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::LogPark& action) {
  v1::MetaOp op;
  v1::ParkChunkOp& park = *op.mutable_park_chunk();
  park.set_handle(chunk.handle().value());
  park.set_epoch(action.epoch.value());
  park.set_length(action.length);
  park.set_crc32c(action.crc32c);
  if (!PLANTED(kForgetOnPark)) *park.mutable_memory() = LiveMemory(std::move(action.memory));
  park.set_mtime_ns(action.mtime_ns);
  Propose(std::move(op), [this, handle = chunk.handle()](absl::StatusOr<v1::MetaResult> result)
                             ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               OpenChunk* chunk = chunks_.FindOpen(handle);
                               if (!chunk || !chunk->recovery) return;
                               if (result.ok()) chunk->record = result->chunk().chunk();
                               chunk->recovery->OnParkLogged(result.status(), Now());
                               Drive(handle);
                             });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::SendOpen& action) {
  v1::OpenChunksRequest::Item item;
  item.set_handle(chunk.handle().value());
  item.set_epoch(action.epoch.value());
  item.set_length(action.length);
  item.set_mtime_ns(action.mtime_ns);
  item.set_primary_id(action.primary.value());
  for (const OpenChunk::Member& member : chunk.members)
    *item.add_members() = Address(member.server);
  auto done = [this, handle = chunk.handle(), id = action.server,
               epoch = action.epoch](absl::StatusOr<v1::OpenChunksResponse::Item> result) {
    absl::MutexLock lock(&mutex_);
    if (!result.ok())
      LOG(WARNING) << "opening fails: chunk=" << handle << " epoch=" << epoch << " server=" << id
                   << ": " << result.status().message();
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    chunk->recovery->OnOpenAnswer(id, epoch, result.status(), Now());
    Drive(handle);
  };
  executor_->Post([this, target = Target(*servers_.Find(action.server)), item = std::move(item),
                   done = std::move(done)]() mutable {
    sender_->Open(target, std::move(item), std::move(done));
  });
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::Reopened&) {
  const Duration now = Now();
  LOG(INFO) << "reopened: chunk=" << chunk.handle() << " epoch=" << chunk.epoch()
            << " inode=" << chunk.inode() << " primary=" << chunk.primary();
  chunk.recovery.reset();
  chunk.hasty_recoveries = now - chunk.since < kHasty ? chunk.hasty_recoveries + 1 : 0;
  chunk.since = chunk.not_before = now;
  if (chunk.hasty_recoveries >= kHastyAtOnce)
    chunk.not_before += std::min<Duration>(
        kFirstBackoff * (1 << std::min(chunk.hasty_recoveries - kHastyAtOnce, 8)), kLongestBackoff);
  tails_.OnChunkSettled(chunk.inode(), now);
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::Parked&) {
  const InodeId inode = chunk.inode();
  const v1::Chunk record = chunk.record;
  const std::vector<OpenChunk::Member> members = chunk.members;
  LOG(INFO) << "parked: chunk=" << record.handle() << " epoch=" << record.epoch()
            << " inode=" << inode << " length=" << record.length();
  CloseOpen(chunk.handle());
  SealedChunk& parked = chunks_.AddSealed(record);
  for (const OpenChunk::Member& member : members)
    parked.Set(servers_.SlotOf(member.server), ReplicaHealth::kGood, member.confirmed);
  tails_.OnChunkSettled(inode, Now());
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
    SealedChunk& sealed = chunks_.AddSealed(record);
    for (ServerId server : action.holders)
      sealed.Set(servers_.SlotOf(server), ReplicaHealth::kHolder);
    for (ServerId server : action.strays)
      sealed.Set(servers_.SlotOf(server), ReplicaHealth::kStray);
    repair_.Look(handle, now);
  }
  AnswerForced(handle, record.length());
  tails_.OnChunkSettled(inode, now);
  Repair(now);
}

void Manager::Act(OpenChunk& chunk, ChunkRecovery::Abandoned& action) {
  const ChunkHandle handle = chunk.handle();
  const InodeId inode = chunk.inode();
  LOG(WARNING) << "recovery abandoned: chunk=" << handle << " epoch=" << chunk.epoch()
               << " inode=" << inode << ": " << action.why.message();
  AnswerForced(handle, action.why);
  if (!HasReason(action.why, v1::UNKNOWN_CHUNK) && !HasReason(action.why, v1::NO_ENTRY)) {
    // The log knows better: go on from what it holds.
    executor_->PostAfter(kReload, [this, handle] { Reload(handle); });
    return;
  }
  CloseOpen(handle);
  tails_.OnChunkSettled(inode, Now());
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
  Recover(*chunk, "again, as it stands in the log", Use::kNone);
}

void Manager::Unpark(const v1::ChunkRecord& record) {
  const ChunkHandle handle(record.chunk().handle());
  const SealedChunk* parked = chunks_.FindSealed(handle);
  if (record.chunk().state() != v1::PARKED || !parked || !parked->parked()) return;
  chunks_.RemoveSealed(handle);
  OpenChunk& chunk = chunks_.AddOpen(record.chunk(), Now());
  for (const OpenChunk::Member& member : chunk.members)
    servers_.AddOpenReplica(member.server, false, 1);
  Recover(chunk, "it is parked, and a client appends", Use::kAppended);
}

}  // namespace appendfs
