#include <algorithm>

#include "common/str_cat.h"
#include "master/chunks/manager.h"

namespace appendfs {
namespace {

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
      // A stray may hold other bytes where the chunk went on without it.
      bool sure =
          replica.health == ReplicaHealth::kGood || replica.health == ReplicaHealth::kHolder;
      if (sure) (server.alive ? usable : doubtful).push_back(server.id);
    }
    // Who has not reported it yet had it when it was made.
    if (usable.empty() && doubtful.empty())
      for (const v1::ServerAddress& replica : chunk.replicas()) {
        const ServerState* server = servers_.Find(ServerId(replica.server_id()));
        if (!server || !sealed->Find(server->slot))
          doubtful.push_back(ServerId(replica.server_id()));
      }
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
      for (const v1::DiskInfo& disk : server.disks)
        if (!disk.failure().empty())
          status.add_reasons(StrCat("disk ", disk.directory(), " of chunkserver ", server.id, " (",
                                    server.address, ") is not used: ", disk.failure()));
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

}  // namespace appendfs
