#include "master/chunks/server_table.h"

#include <algorithm>
#include <tuple>

namespace appendfs {
namespace {

// Ticks come far more often; a longer gap is this process standing still.
constexpr Duration kLongTick = std::chrono::milliseconds(500);

constexpr Duration kOneLapse = std::chrono::seconds(1);
constexpr Duration kForgiven = std::chrono::seconds(30);
constexpr Duration kFresh = std::chrono::seconds(10);

}  // namespace

ServerState& ServerTable::Ensure(ServerId id) { return servers_[SlotOf(id)]; }

ServerSlot ServerTable::SlotOf(ServerId id) {
  auto [it, is_new] = slots_.try_emplace(id, static_cast<ServerSlot>(servers_.size()));
  if (is_new) {
    ServerState& server = servers_.emplace_back();
    server.id = id;
    server.slot = it->second;
    server.last_heard = started_;
  }
  return it->second;
}

void ServerTable::Load(ServerId id, std::string address) {
  Ensure(id).address = std::move(address);
}

ServerTable::Registration ServerTable::Register(ServerId id, const v1::RegisterRequest& request,
                                                Duration now) {
  ServerState& server = Ensure(id);
  Registration result;
  result.restarted = server.registration != 0 && server.start_id != request.start_id();
  if (server.start_id != request.start_id()) server.started = now;
  server.address = request.address();
  server.start_id = request.start_id();
  server.registration += 1;
  server.alive = true;
  server.reported = false;
  server.given_up = false;
  server.last_heard = now;
  server.suspect_until = {};
  server.last_failed_create = Duration::min();
  server.capacity_bytes = request.capacity_bytes();
  server.available_bytes = request.available_bytes();
  result.number = server.registration;
  return result;
}

bool ServerTable::Heartbeat(const v1::HeartbeatRequest& request, Duration now) {
  ServerId id(request.server_id());
  if (!IsCurrent(id, request.registration())) return false;
  ServerState& server = Ensure(id);
  server.last_heard = now;
  server.capacity_bytes = request.capacity_bytes();
  server.available_bytes = request.available_bytes();
  server.chunks = request.chunks();
  server.disks.assign(request.disks().begin(), request.disks().end());
  return true;
}

bool ServerTable::IsCurrent(ServerId id, uint64_t registration) const {
  const ServerState* server = Find(id);
  return server && server->alive && registration != 0 && server->registration == registration;
}

void ServerTable::SetReported(ServerId id) { Ensure(id).reported = true; }

void ServerTable::Suspect(ServerId id, Duration now, bool create_failed) {
  if (!Find(id)) return;
  ServerState& server = Ensure(id);
  server.suspect_until = now + options_.suspect_for;
  if (create_failed) server.last_failed_create = now;
}

bool ServerTable::NoteLag(ServerId id, Duration now) {
  if (!Find(id)) return false;
  ServerState& server = Ensure(id);
  // All its chunks tell of one lapse.
  if (!server.lagged || now - *server.lagged >= kForgiven)
    server.lapses = 1;
  else if (now - *server.lagged >= kOneLapse)
    server.lapses += 1;
  server.lagged = now;
  return server.lapses > 1;
}

ServerId ServerTable::ChoosePrimary(std::span<const ServerId> members, Duration now) const {
  auto unfitness = [&](ServerId id) {
    const ServerState* server = Find(id);
    bool fresh = server && server->started && now - *server->started < kFresh;
    return std::tuple(!server || !server->alive || now < server->suspect_until, fresh,
                      server ? server->primaries : 0, id);
  };
  return *std::min_element(members.begin(), members.end(),
                           [&](ServerId a, ServerId b) { return unfitness(a) < unfitness(b); });
}

std::vector<ServerId> ServerTable::Tick(Duration now) {
  Duration gap = now - last_tick_;
  last_tick_ = now;
  std::vector<ServerId> silent;
  for (ServerState& server : servers_) {
    if (gap > kLongTick) server.last_heard = std::min(now, server.last_heard + gap);
    Duration limit = server.registration == 0 ? options_.unseen_after : options_.dead_after;
    if (server.given_up || now - server.last_heard < limit) continue;
    server.alive = server.reported = false;
    server.given_up = true;
    silent.push_back(server.id);
  }
  return silent;
}

void ServerTable::AddOpenReplica(ServerId id, bool primary, int difference) {
  ServerState& server = Ensure(id);
  server.open_chunks += static_cast<uint32_t>(difference);
  if (primary) server.primaries += static_cast<uint32_t>(difference);
}

const ServerState* ServerTable::Find(ServerId id) const {
  auto it = slots_.find(id);
  return it == slots_.end() ? nullptr : &servers_[it->second];
}

bool ServerTable::IsAlive(ServerId id) const {
  const ServerState* server = Find(id);
  return server && server->alive;
}

std::vector<PlacementCandidate> ServerTable::Candidates(Duration now) const {
  std::vector<PlacementCandidate> candidates;
  for (const ServerState& server : servers_) {
    if (!server.alive) continue;
    candidates.push_back({server.id, server.capacity_bytes, server.available_bytes,
                          server.open_chunks, server.primaries, now < server.suspect_until});
  }
  return candidates;
}

size_t ServerTable::alive_count() const {
  return static_cast<size_t>(
      std::count_if(servers_.begin(), servers_.end(), [](const auto& s) { return s.alive; }));
}

bool ServerTable::AllReported() const {
  return std::all_of(servers_.begin(), servers_.end(), [](const auto& s) { return s.reported; });
}

bool ServerTable::LiveReported() const {
  return std::all_of(servers_.begin(), servers_.end(),
                     [](const auto& s) { return s.reported || !s.alive; });
}

}  // namespace appendfs
