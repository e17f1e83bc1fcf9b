#include "master/chunks/repair_planner.h"

#include <algorithm>

namespace appendfs {
namespace {

constexpr size_t kLooksPerPlan = 2000;
// Too few servers, say: an event wakes it earlier.
constexpr Duration kNothingToDo = std::chrono::seconds(3);

}  // namespace

void RepairPlanner::Schedule(ChunkHandle handle, Duration when, Duration now) {
  auto [it, is_new] = waiting_.try_emplace(handle, Waiting{now, when});
  if (!is_new && when >= it->second.next) return;
  it->second.next = when;
  due_.emplace(when, handle);
}

void RepairPlanner::Look(ChunkHandle handle, Duration now) { Schedule(handle, now, now); }

void RepairPlanner::LookAtServer(ServerId server, Duration now) {
  const ServerState* state = servers_.Find(server);
  if (!state) return;
  const ChunkTable& chunks = chunks_;
  chunks.ForEachSealed([&](ChunkHandle handle, const SealedChunk& chunk) {
    if (chunk.Find(state->slot)) Look(handle, now);
  });
}

std::vector<RepairTask> RepairPlanner::Plan(Duration now, bool safe_mode) {
  std::vector<RepairTask> tasks;
  for (size_t looks = 0; looks < kLooksPerPlan && !due_.empty(); ++looks) {
    auto [when, handle] = *due_.begin();
    if (when > now) break;
    due_.erase(due_.begin());
    auto it = waiting_.find(handle);
    if (it == waiting_.end() || it->second.next != when) continue;
    const SealedChunk* chunk = chunks_.FindSealed(handle);
    std::optional<Duration> again;
    if (chunk) again = Decide(handle, *chunk, it->second.since, now, safe_mode, tasks);
    if (again) {
      it->second.next = *again;
      due_.emplace(*again, handle);
    } else {
      waiting_.erase(it);
    }
  }
  return tasks;
}

std::optional<Duration> RepairPlanner::Decide(ChunkHandle handle, const SealedChunk& chunk,
                                              Duration since, Duration now, bool safe_mode,
                                              std::vector<RepairTask>& tasks) {
  if (chunk.parked()) return DecideParked(handle, chunk, since, now, safe_mode, tasks);
  struct Live {
    const SealedChunk::Replica* replica;
    const ServerState* server;
    bool running;
  };
  std::vector<Live> live;
  std::vector<ServerId> sources, taken;
  size_t good = 0, running = 0, confirmed = 0;
  for (const SealedChunk::Replica& replica : chunk.replicas()) {
    const ServerState& server = servers_.AtSlot(replica.server);
    taken.push_back(server.id);
    if (!server.alive) continue;
    bool busy = running_.contains({handle, server.id});
    live.push_back({&replica, &server, busy});
    running += busy;
    bool is_good = replica.health == ReplicaHealth::kGood;
    good += is_good;
    confirmed += is_good && replica.confirmed;
    if (is_good || replica.health == ReplicaHealth::kHolder) sources.push_back(server.id);
  }
  if (good == kReplicationFactor && live.size() == good) return std::nullopt;

  // Replicas that are there but not right. A recovery that has just sealed the
  // chunk, or the log, says what they have to be, so no safe mode.
  for (const Live& at : live) {
    if (at.running || at.replica->health == ReplicaHealth::kGood) continue;
    if (now < at.server->suspect_until) continue;  // it will not answer now
    RepairTask task{RepairTask::Kind::kConform, handle, at.server->id, {}};
    for (ServerId source : sources)
      if (source != at.server->id) task.sources.push_back(source);
    if (good >= kReplicationFactor) {
      if (safe_mode) continue;
      task.kind = RepairTask::Kind::kDelete;
    } else if (at.replica->health == ReplicaHealth::kDamaged) {
      if (safe_mode || task.sources.empty()) continue;
      task.kind = RepairTask::Kind::kCopy;
    }
    running += Launch(std::move(task), tasks);
  }
  bool missing = live.size() < kReplicationFactor && !sources.empty() && !safe_mode;
  bool copied = false;
  if (missing && now - since >= options_.grace)
    copied = CopyMissing(handle, chunk, live.size(), std::move(taken), sources, now, tasks);
  // One too many, all of them sure: the fullest server gives its replica up.
  if (!safe_mode && good > kReplicationFactor && confirmed == good && running == 0) {
    const Live* fullest = nullptr;
    for (const Live& at : live)
      if (!fullest || at.server->available_bytes < fullest->server->available_bytes) fullest = &at;
    Launch({RepairTask::Kind::kDelete, handle, fullest->server->id, {}}, tasks);
  }
  if (good < live.size() || copied || copies_ >= options_.copies_at_once)
    return now + options_.retry;
  return NextLook(since, now);
}

std::optional<Duration> RepairPlanner::DecideParked(ChunkHandle handle, const SealedChunk& chunk,
                                                    Duration since, Duration now, bool safe_mode,
                                                    std::vector<RepairTask>& tasks) {
  std::vector<ServerId> taken;
  size_t good = 0, bad = 0;
  for (const SealedChunk::Replica& replica : chunk.replicas()) {
    const ServerState& server = servers_.AtSlot(replica.server);
    taken.push_back(server.id);
    if (!server.alive) continue;
    (replica.health == ReplicaHealth::kGood ? good : bad) += 1;
  }
  if (good >= kReplicationFactor && bad == 0) return std::nullopt;
  // As long as there is nowhere to put another replica, waiting for the one
  // that is away costs nothing and keeps the chunk open.
  bool helps = bad > 0 || PlaceCopy(servers_.Candidates(now), chunk.length(), taken);
  if (!safe_mode && good > 0 && helps && now - since >= options_.grace)
    Launch({RepairTask::Kind::kSeal, handle, ServerId(), {}}, tasks);
  return NextLook(since, now);
}

bool RepairPlanner::CopyMissing(ChunkHandle handle, const SealedChunk& chunk, size_t live,
                                std::vector<ServerId> taken, const std::vector<ServerId>& sources,
                                Duration now, std::vector<RepairTask>& tasks) {
  // Copies under way to servers that have no replica yet count as there.
  for (const ServerState& server : servers_.all()) {
    if (!running_.contains({handle, server.id}) || chunk.Find(server.slot)) continue;
    taken.push_back(server.id);
    ++live;
  }
  if (live >= kReplicationFactor || copies_ >= options_.copies_at_once) return false;
  std::vector<PlacementCandidate> candidates = servers_.Candidates(now);
  std::erase_if(candidates, [](const PlacementCandidate& c) { return c.suspect; });
  ServerId target = PlaceCopy(candidates, chunk.length(), taken);
  return target && Launch({RepairTask::Kind::kCopy, handle, target, sources}, tasks);
}

Duration RepairPlanner::NextLook(Duration since, Duration now) const {
  const Duration due = since + options_.grace;
  return due > now ? due : now + kNothingToDo;
}

bool RepairPlanner::Launch(RepairTask task, std::vector<RepairTask>& tasks) {
  bool copy = task.kind == RepairTask::Kind::kCopy;
  size_t& count = copy ? copies_ : conforms_;
  if (count >= (copy ? options_.copies_at_once : options_.conforms_at_once)) return false;
  if (!running_.insert({task.handle, task.server}).second) return false;
  ++count;
  if (task.kind == RepairTask::Kind::kDelete) deleting_.insert({task.handle, task.server});
  tasks.push_back(std::move(task));
  return true;
}

void RepairPlanner::OnReported(ServerId server) {
  absl::erase_if(deleting_,
                 [&](const auto& one) { return one.second == server && !running_.contains(one); });
}

void RepairPlanner::OnDone(const RepairTask& task, const absl::Status& status, Duration now) {
  if (running_.erase({task.handle, task.server}) == 0) return;
  --(task.kind == RepairTask::Kind::kCopy ? copies_ : conforms_);
  if (const ServerState* state = servers_.Find(task.server); state && state->reported)
    deleting_.erase({task.handle, task.server});
  SealedChunk* chunk = chunks_.FindSealed(task.handle);
  if (!chunk) return;
  if (task.kind == RepairTask::Kind::kSeal) {
    if (status.ok()) chunk->Seal();
    return Schedule(task.handle, status.ok() ? now : now + options_.retry, now);
  }
  ServerSlot slot = servers_.SlotOf(task.server);
  if (task.kind == RepairTask::Kind::kDelete) {
    if (status.ok())
      chunk->Drop(slot);
    else if (chunk->Find(slot))
      // It may be gone. As long as it counted, another one might be given up.
      chunk->Set(slot, ReplicaHealth::kStray);
  } else if (status.ok()) {
    chunk->Set(slot, ReplicaHealth::kGood);
  } else if (HasReason(status, v1::UNKNOWN_CHUNK)) {
    chunk->Drop(slot);
  } else if (HasReason(status, v1::REPLICA_DAMAGED) && chunk->Find(slot)) {
    chunk->Set(slot, ReplicaHealth::kDamaged);
  }
  // Right away after a success: there may be more to do, or nothing at all.
  Schedule(task.handle, status.ok() ? now : now + options_.retry, now);
}

}  // namespace appendfs
