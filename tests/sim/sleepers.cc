// Schemes in which a client sleeps while its appends are unanswered: what is
// remembered of it must outlive whatever becomes of the chunk meanwhile.
#include "master/namespace/reads.h"
#include "tests/sim/client_node.h"
#include "tests/sim/faults.h"
#include "tests/sim/master_node.h"
#include "tests/sim/server_node.h"

namespace appendfs::sim {

// A client's appends go through, it hears of none and falls asleep; meanwhile
// chunks roll, are parked and reopened, or lose a member, and its session may end.
void Faults::SleepUnanswered() {
  ClientNode& client = AnyClient();
  if (!client.host.up) return;
  kernel_.counts["clients asleep with appends unanswered"]++;
  kernel_.Trace(client.host.name, " hears no server, and falls asleep");
  for (const auto& server : world_.servers) world_.network.Block(server->host, client.host);
  const Duration asleep = kernel_.Chance(0.5) ? Between(1200, 3800) : Between(4500, 7500);
  Later(Between(3, 60), [this, &client, asleep] {
    if (client.host.up) Pause(client.host, asleep);
    if (kernel_.Chance(0.3)) return;
    world_.quiet_until = kernel_.now() + Between(500, 3500);
    if (kernel_.Chance(0.4)) return;
    Later(Between(700, 1600), [this] {
      machines_.crash_server_for(AnyServer(), kernel_.Chance(0.5), Between(900, 2500));
    });
  });
  HealLater(milliseconds(800), milliseconds(1100));
}

// A client begins, its first appends go through, it hears of none and falls asleep.
// Only such appends would be taken for new ones by who has forgotten the client: those
// that name one before them would be refused.
void Faults::BeginUnanswered(ClientNode& client, Duration asleep) {
  kernel_.counts["clients asleep with appends unanswered"]++;
  kernel_.Trace(client.host.name, " begins anew, hears no server, and falls asleep");
  client.Crash();
  for (const auto& server : world_.servers) world_.network.Block(server->host, client.host);
  client.Start();
  world_.brisk_until = kernel_.now() + milliseconds(100);
  Later(Between(100, 240), [this, &client, asleep] {
    if (client.host.up) Pause(client.host, asleep);
  });
  // A stream that gets nothing across for so long is given up.
  HealLater(milliseconds(1000), milliseconds(1200));
}

// Meanwhile the chunk is parked, and then sealed as the log has it, because a
// member is lost and there is another server to copy to.
void Faults::SleepAcrossPark() {
  ClientNode& client = AnyClient();
  if (world_.servers.size() <= kReplicationFactor || !client.host.up) return SleepUnanswered();
  Occupy(milliseconds(9500));
  BeginUnanswered(client, milliseconds(8300));
  Later(milliseconds(250), [this] { world_.quiet_until = kernel_.now() + milliseconds(8200); });
  Later(milliseconds(900), [this] { LoseMemberOfParked(15); });
}

void Faults::LoseMemberOfParked(int tries) {
  std::vector<ServerNode*> members;
  (void)ScanChunks(world_.master->tables(), [&](const v1::ChunkRecord& record) {
    if (record.chunk().state() == v1::PARKED) members = MembersOf(record.chunk());
    return members.empty();
  });
  if (!members.empty())
    return machines_.crash_server_for(*members[kernel_.Random(members.size())], kernel_.Chance(0.5),
                                      milliseconds(7000));
  if (tries > 0) Later(milliseconds(100), [this, tries] { LoseMemberOfParked(tries - 1); });
}

// Meanwhile the chunk fills, and the next one too, under its live session: what it
// took part in is two chunks ago.
void Faults::SleepAcrossRolls() {
  ClientNode& client = AnyClient();
  if (!client.host.up) return;
  const Duration asleep = Between(1500, 3000);
  Occupy(asleep + milliseconds(600));
  BeginUnanswered(client, asleep);
  world_.brisk_until = kernel_.now() + asleep;
}

// Before it sleeps it asks the master for another chunk, and there is none: all servers
// but one are down. Its session ends, and then, as a second one is back, its chunk. The
// next one has forgotten the client, who still waits for it and must not get it.
void Faults::SleepAcrossSession() {
  ClientNode& client = AnyClient();
  if (!client.host.up) return;
  Occupy(milliseconds(5000));
  BeginUnanswered(client, Between(3000, 3300));
  Later(Between(60, 95), [this] {
    const ServerNode& spared = AnyServer();
    Duration down = Between(2600, 2800);
    for (const auto& server : world_.servers) {
      if (server.get() == &spared) continue;
      machines_.crash_server_for(*server, false, down);
      down += Between(80, 160);
    }
    // The next chunk shall not be full when it wakes.
    world_.quiet_until = kernel_.now() + milliseconds(3500);
  });
}

}  // namespace appendfs::sim
