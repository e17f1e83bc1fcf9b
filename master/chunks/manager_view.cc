#include <algorithm>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "common/str_cat.h"
#include "master/chunks/manager.h"

namespace appendfs {
namespace {

constexpr Duration kInspectTimeout = std::chrono::seconds(1);

uint64_t Milliseconds(Duration duration) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

}  // namespace

void Manager::FillLocations(v1::Chunk& chunk) const {
  absl::MutexLock lock(&mutex_);
  std::vector<ServerId> usable, doubtful;
  const SealedChunk* sealed = chunks_.FindSealed(ChunkHandle(chunk.handle()));
  if ((chunk.state() == v1::SEALED || chunk.state() == v1::PARKED) && sealed) {
    for (const SealedChunk::Replica& replica : sealed->replicas()) {
      const ServerState& server = servers_.AtSlot(replica.server);
      bool sure =
          replica.health == ReplicaHealth::kGood || replica.health == ReplicaHealth::kHolder;
      if (replica.health == ReplicaHealth::kDamaged) continue;
      (sure && server.alive ? usable : doubtful).push_back(server.id);
    }
    // Nobody has reported it yet: it was there when it was made.
    if (usable.empty() && doubtful.empty())
      for (const v1::ServerAddress& replica : chunk.replicas())
        doubtful.push_back(ServerId(replica.server_id()));
  } else {
    for (const v1::ServerAddress& replica : chunk.replicas()) {
      ServerId server(replica.server_id());
      (servers_.IsAlive(server) ? usable : doubtful).push_back(server);
    }
  }
  chunk.clear_replicas();
  for (ServerId server : usable) *chunk.add_replicas() = Address(server);
  for (ServerId server : doubtful) *chunk.add_replicas() = Address(server);
}

ChunkManager::Space Manager::space() const {
  absl::MutexLock lock(&mutex_);
  Space space;
  for (const ServerState& server : servers_.all()) {
    if (!server.alive) continue;
    space.total_bytes += server.capacity_bytes;
    space.available_bytes += server.available_bytes;
  }
  return space;
}

v1::ListServersResponse Manager::ListServers() const {
  absl::MutexLock lock(&mutex_);
  const Duration now = Now();
  v1::ListServersResponse response;
  for (const ServerState& server : servers_.all()) {
    v1::ServerInfo& info = *response.add_servers();
    info.set_server_id(server.id.value());
    info.set_address(server.address);
    info.set_alive(server.alive);
    info.set_capacity_bytes(server.capacity_bytes);
    info.set_available_bytes(server.available_bytes);
    info.set_chunks(server.chunks);
    info.set_heartbeat_age_ms(Milliseconds(now - server.last_heard));
    info.mutable_disks()->Add(server.disks.begin(), server.disks.end());
  }
  std::sort(response.mutable_servers()->begin(), response.mutable_servers()->end(),
            [](const auto& a, const auto& b) { return a.server_id() < b.server_id(); });
  return response;
}

void Manager::FillStatus(v1::GetStatusResponse& status) const {
  absl::MutexLock lock(&mutex_);
  uint64_t under = 0, nowhere = 0, damaged = 0;
  chunks_.ForEachSealed([&](ChunkHandle, const SealedChunk& chunk) {
    mutex_.AssertHeld();
    int good = 0;
    for (const SealedChunk::Replica& replica : chunk.replicas()) {
      damaged += replica.health == ReplicaHealth::kDamaged;
      if (!servers_.AtSlot(replica.server).alive) continue;
      good += replica.health == ReplicaHealth::kGood || replica.health == ReplicaHealth::kHolder;
    }
    under += good < kReplicationFactor;
    nowhere += good == 0;
  });
  uint64_t recovering = chunks_.recovering_count();
  status.set_cluster_uuid(cluster_uuid_);
  status.set_incarnation(incarnation_);
  status.set_uptime_ms(Milliseconds(Now() - started_));
  status.set_safe_mode(safe_mode_);
  status.set_servers_alive(static_cast<uint32_t>(servers_.alive_count()));
  status.set_servers_known(static_cast<uint32_t>(servers_.all().size()));
  status.set_chunks(chunks_.open_count() + chunks_.sealed_count());
  status.set_open_chunks(chunks_.open_count() - recovering);
  status.set_recovering_chunks(recovering);
  status.set_parked_chunks(chunks_.parked_count());
  status.set_under_replicated_chunks(under);
  status.set_damaged_replicas(damaged);
  uint64_t capacity = 0, available = 0;
  for (const ServerState& server : servers_.all()) {
    if (server.alive) {
      capacity += server.capacity_bytes;
      available += server.available_bytes;
    } else {
      status.add_reasons(StrCat("chunkserver ", server.id, " (", server.address, ") is away"));
    }
  }
  status.set_capacity_bytes(capacity);
  status.set_available_bytes(available);

  if (safe_mode_)
    status.add_reasons("safe mode: the master has just started, chunkservers are still to report");
  if (servers_.alive_count() < kReplicationFactor)
    status.add_reasons(StrCat(servers_.alive_count(), " chunkservers are alive, 3 are wanted"));
  if (under) status.add_reasons(StrCat(under, " chunks have fewer than 3 good replicas"));
  if (recovering) status.add_reasons(StrCat(recovering, " chunks are being recovered"));
  if (damaged) status.add_reasons(StrCat(damaged, " replicas are damaged"));
  if (nowhere) status.add_reasons(StrCat(nowhere, " chunks have no live replica"));
  bool critical = servers_.alive_count() < kWriteQuorum || (nowhere && !safe_mode_);
  status.set_health(critical ? "critical" : status.reasons().empty() ? "ok" : "degraded");
}

std::vector<v1::ReplicaInfo> Manager::InspectReplicas(const v1::Chunk& chunk) {
  struct Shared {
    absl::Mutex mutex;
    std::vector<v1::ReplicaInfo> infos ABSL_GUARDED_BY(mutex);
    size_t answers ABSL_GUARDED_BY(mutex) = 0;
  };
  auto shared = std::make_shared<Shared>();
  v1::Chunk located = chunk;
  FillLocations(located);
  {
    absl::MutexLock lock(&shared->mutex);
    for (const v1::ServerAddress& replica : located.replicas()) {
      v1::ReplicaInfo& info = shared->infos.emplace_back();
      info.set_server_id(replica.server_id());
      info.set_address(replica.address());
    }
  }
  v1::InspectRequest request;
  request.add_handles(chunk.handle());
  for (int i = 0; i < located.replicas_size(); ++i) {
    client_->Call(
        located.replicas(i).address(), request, kInspectTimeout,
        [shared, i](absl::StatusOr<v1::InspectResponse> response) {
          absl::MutexLock lock(&shared->mutex);
          shared->answers += 1;
          if (!response.ok() || response->items_size() != 1) return;
          v1::ReplicaInfo& info = shared->infos[static_cast<size_t>(i)];
          const v1::InspectResponse::Item& item = response->items(0);
          info.set_reachable(true);
          info.set_epoch(item.epoch());
          info.set_length(item.durable_length());
          info.set_sealed(item.sealed());
          info.set_damaged(item.damaged() || item.error().reason() == v1::REPLICA_DAMAGED);
          info.set_primary(item.primary());
        });
  }
  auto all_answered = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return shared->answers == shared->infos.size();
  };
  absl::MutexLock lock(&shared->mutex);
  shared->mutex.AwaitWithTimeout(absl::Condition(&all_answered),
                                 absl::FromChrono(2 * kInspectTimeout));
  return shared->infos;
}

}  // namespace appendfs
