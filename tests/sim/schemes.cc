// Faults that strike in a set order: each goes for what one rule of the protocol
// is there for, and chance alone would hardly ever bring about.
#include <algorithm>
#include <utility>

#include "master/namespace/reads.h"
#include "tests/sim/client_node.h"
#include "tests/sim/faults.h"
#include "tests/sim/master_node.h"
#include "tests/sim/server_node.h"

namespace appendfs::sim {

void Faults::Later(Duration delay, std::function<void()> what) {
  kernel_.After(delay, nullptr, [this, what = std::move(what)] {
    if (!over_) what();
  });
}

void Faults::Occupy(Duration time) {
  occupied_until_ = std::max(occupied_until_, kernel_.now() + time);
}

std::vector<ServerNode*> Faults::MembersOf(const v1::Chunk& chunk) {
  std::vector<ServerNode*> members;
  for (const auto& server : world_.servers)
    for (const v1::ServerAddress& member : chunk.replicas())
      if (server->host.up && server->id() == ServerId(member.server_id()))
        members.push_back(server.get());
  return members;
}

std::optional<Faults::Tail> Faults::AnyTail() {
  std::vector<Tail> tails;
  (void)ScanChunks(world_.master->tables(), [&](const v1::ChunkRecord& record) {
    const v1::Chunk& chunk = record.chunk();
    if (chunk.state() != v1::OPEN) return true;
    Tail tail{ChunkHandle(chunk.handle()), nullptr, {}};
    for (ServerNode* member : MembersOf(chunk))
      if (member->id() == ServerId(chunk.primary_id()))
        tail.primary = member;
      else
        tail.others.push_back(member);
    if (tail.primary != nullptr && !tail.others.empty()) tails.push_back(std::move(tail));
    return true;
  });
  if (tails.empty()) return std::nullopt;
  return std::move(tails[kernel_.Random(tails.size())]);
}

// The master and a primary do not hear each other, so the chunk goes on without
// it and it does not know. Clients and the other replicas still talk to it; what
// these say may come very late, from before they were fenced, and yet before it
// loses patience. One client does not hear it, and tells the master soon.
void Faults::CutOffPrimary() {
  auto tail = AnyTail();
  if (!tail) return;
  kernel_.counts["primaries cut off"]++;
  const Host& primary = tail->primary->host;
  world_.network.Block(world_.master->host, primary);
  world_.network.Block(primary, world_.master->host);
  if (kernel_.Chance(0.5)) world_.network.Block(primary, AnyClient().host);
  const bool late = kernel_.Chance(0.8), patient = kernel_.Chance(0.5);
  const Duration least = patient ? Between(500, 1500) : Between(120, 280);
  const Duration most = patient ? least + Between(0, 800) : least;
  kernel_.Trace("chunk=", tail->handle, ": the master and ", primary.name, " are cut off",
                late ? "; it hears its peers late" : "");
  if (late)
    for (ServerNode* other : tail->others)
      world_.network.Slow(other->host, primary, {most, 0, least});
  HealLater(milliseconds(1500), milliseconds(3500));
}

// While nobody appends, a primary is back before it is missed, and with it all
// clients: none of them has seen it go.
void Faults::RestartUnnoticed() {
  world_.quiet_until = kernel_.now() + Between(60, 250);
  Later(Between(15, 50), [this] {
    auto tail = AnyTail();
    if (!tail) return;
    kernel_.counts["restarts unnoticed"]++;
    for (ClientNode* client : machines_.clients) {
      if (!client->host.up) continue;
      client->Crash();
      kernel_.After(Between(5, 100), nullptr, [client] { client->Start(); });
    }
    machines_.crash_server_for(*tail->primary, kernel_.Chance(0.5), Between(1, 20));
  });
}

// Nobody appends for long: chunks are parked, and stay so while servers come and go.
void Faults::Rest() {
  const Duration rest = Between(900, 3500);
  kernel_.counts["rests"]++;
  kernel_.Trace("nobody appends for ", rest.count() / 1000000, " ms");
  world_.quiet_until = std::max(world_.quiet_until, kernel_.now() + rest);
  if (kernel_.Chance(0.5)) return;
  Later(Between(700, 1500),
        [this] { machines_.crash_server_for(AnyServer(), kernel_.Chance(0.5), Between(1, 1500)); });
}

// What the master tells servers comes at once, and once more when much has
// happened since. Streams break, so that chunks are reopened again and again.
void Faults::EchoCommands() {
  kernel_.counts["late commands"]++;
  const Duration most = Between(20, 1200);
  kernel_.Trace("servers get commands twice, ", most.count() / 1000000, " ms apart");
  for (const auto& server : world_.servers)
    world_.network.Slow(world_.master->host, server->host, {most, 1, {}, true});
  for (int i = 0; i < 4; ++i)
    Later(Between(0, 1200), [this] {
      kernel_.counts["streams broken"]++;
      world_.network.BreakStreams(AnyServer().host);
    });
  HealLater(milliseconds(800), milliseconds(2000));
}

// The newest batches are on one replica alone: the primary's disk was slow when
// its power failed, the way to the third was long. The one dies when recovery
// has heard what it has.
void Faults::LeaveLoneHolder() {
  auto tail = AnyTail();
  if (!tail || tail->others.size() < 2) return;
  if (kernel_.Chance(0.5)) std::swap(tail->others[0], tail->others[1]);
  ServerNode &keeper = *tail->others[0], &other = *tail->others[1], &primary = *tail->primary;
  kernel_.counts["replicas left alone with a batch"]++;
  kernel_.Trace("chunk=", tail->handle, ": what is new comes to ", keeper.host.name, " only");
  primary.host.slow_disk_until = kernel_.now() + milliseconds(300);
  world_.network.Slow(primary.host, other.host, {milliseconds(400), 0, milliseconds(300)});
  world_.network.Slow(world_.master->host, other.host, {milliseconds(60), 0, milliseconds(20)});
  lone_holder_ = &keeper;
  lone_chunk_ = tail->handle;
  world_.on_promise = [this](ServerNode& server, ChunkHandle handle) {
    if (&server != lone_holder_ || handle != lone_chunk_) return;
    lone_holder_ = nullptr;
    Later(kernel_.Between(microseconds(500), milliseconds(5)),
          [this, &server] { machines_.crash_server_for(server, false, Between(1000, 2500)); });
  };
  Later(Between(20, 49),
        [this, &primary] { machines_.crash_server_for(primary, true, Between(30, 400)); });
  HealLater(milliseconds(500), milliseconds(1200));
}

}  // namespace appendfs::sim
