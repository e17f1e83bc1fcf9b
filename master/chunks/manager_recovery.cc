#include <glog/logging.h>

#include <variant>

#include "common/planted.h"
#include "common/str_cat.h"
#include "master/chunks/manager.h"
#include "master/namespace/reads.h"
#include "master/sessions/session_table.h"

namespace appendfs {
namespace {

constexpr int kHeartbeatsMissed = 3;  // then it does not answer promptly
constexpr uint64_t kRoomShare = 16;   // of a chunk that must be free to go on with it
constexpr Duration kRollCheck = std::chrono::seconds(1);
constexpr Duration kRollAge = std::chrono::seconds(5);         // of a chunk on two servers
constexpr Duration kCreateFailure = std::chrono::seconds(60);  // keeps a server from causing rolls

}  // namespace

bool Manager::AnswersPromptly(ServerId id, Duration now) const {
  const ServerState* server = servers_.Find(id);
  return server && server->alive &&
         now - server->last_heard < kHeartbeatsMissed * options_.heartbeat_interval;
}

ChunkRecovery::Setup Manager::RecoverySetup(const OpenChunk& chunk, Use use, Duration now) const {
  ChunkRecovery::Setup setup;
  setup.primary = chunk.primary();
  setup.epoch = chunk.epoch();
  setup.wanted = use != Use::kNone;
  const uint64_t capacity = chunk.record.capacity();
  bool room = true;
  for (const OpenChunk::Member& member : chunk.members) {
    const ServerState* server = servers_.Find(member.server);
    bool up = server && server->alive;
    setup.members.push_back({member.server, up, AnswersPromptly(member.server, now)});
    if (up && server->available_bytes <= capacity) room = false;
  }
  if (use != Use::kOver && room) setup.longest_to_keep = capacity - capacity / kRoomShare;
  return setup;
}

void Manager::Recover(OpenChunk& chunk, std::string_view why, Use use) {
  const Duration now = Now();
  if (chunk.recovery) {
    if (use == Use::kOver) chunk.recovery->MustSeal(now);
    if (use != Use::kNone) chunk.recovery->Want(now);
    return Drive(chunk.handle());
  }
  LOG(INFO) << "recovery starts: chunk=" << chunk.handle() << " epoch=" << chunk.epoch()
            << " inode=" << chunk.inode() << ": " << why;
  chunk.recovery =
      std::make_unique<ChunkRecovery>(RecoverySetup(chunk, use, now), RecoveryOptions{});
  chunk.recovery->Start(now);
  Drive(chunk.handle());
}

void Manager::RecoverAllWith(ServerId server, std::string_view why) {
  std::vector<ChunkHandle> handles;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    if (!chunk.recovery && chunk.HasMember(server)) handles.push_back(chunk.handle());
  });
  for (ChunkHandle handle : handles) Recover(*chunks_.FindOpen(handle), why, Use::kNone);
}

void Manager::TellRecoveries(ServerId server, bool up, bool restarted) {
  const Duration now = Now();
  std::vector<ChunkHandle> handles;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    if (!chunk.recovery) return;
    up ? chunk.recovery->OnServerUp(server, restarted, now)
       : chunk.recovery->OnServerDown(server, now);
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
    const absl::Status status = answer.status();
    absl::MutexLock lock(&mutex_);
    if (IsTransient(status)) servers_.Suspect(id, Now(), false);
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    bool news = chunk->recovery->OnFenceAnswer(id, epoch, std::move(answer), Now());
    if (!status.ok() && news)
      LOG(WARNING) << "fence fails: chunk=" << handle << " epoch=" << epoch << " server=" << id
                   << ": " << status.message();
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
    if (IsTransient(result.status())) servers_.Suspect(id, Now(), false);
    OpenChunk* chunk = chunks_.FindOpen(handle);
    if (!chunk || !chunk->recovery) return;
    bool news = chunk->recovery->OnConformAnswer(id, epoch, result.status(), Now());
    if (!result.ok() && news)
      LOG(WARNING) << "copy fails: chunk=" << handle << " epoch=" << epoch << " server=" << id
                   << ": " << result.status().message();
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
    Recover(*chunks_.FindOpen(handle), "it is on two servers and a third is there", Use::kOver);
}

}  // namespace appendfs
