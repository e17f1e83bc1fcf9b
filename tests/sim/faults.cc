#include "tests/sim/faults.h"

#include <algorithm>
#include <utility>

#include "chunkserver/store/group.h"
#include "chunkserver/store/layout.h"
#include "tests/sim/client_node.h"
#include "tests/sim/master_node.h"
#include "tests/sim/server_node.h"

namespace appendfs::sim {

const char* Faults::name() const { return plot_.name; }

Faults::Faults(World& world, Machines machines, uint64_t plot)
    : world_(world),
      kernel_(world.kernel),
      machines_(std::move(machines)),
      plot_(AllPlots()[plot]),
      pace_(milliseconds(100 + kernel_.Random(900))) {
  pace_ = std::chrono::duration_cast<Duration>(pace_ * plot_.pace);
  DrawWeather();
  const bool harmful = plot_.Weight(kBitFlip) + plot_.Weight(kFailedSync) > 2;
  if (harmful || kernel_.Chance(0.3)) harmable_ = &AnyServer();
  // Parked chunks are not repaired soon.
  if (plot_.Weight(kSleepAcrossPark) > 1) world_.session_timeout = seconds(12);
  // Clients wait for an answer of the master's a little longer than that.
  if (plot_.Weight(kSleepAcrossSession) > 1) world_.session_timeout = seconds(2);
  if (plot_.strikes_recoveries)
    world_.on_recovery = [this](ChunkHandle) {
      if (!over_ && kernel_.Chance(0.25)) StrikeRecovery();
    };
}

void Faults::DrawWeather() {
  Network::Faults& faults = world_.network.faults;
  if (kernel_.Chance(0.5)) faults.lose = 0.003;
  if (kernel_.Chance(0.5)) faults.duplicate = 0.02;
  if (kernel_.Chance(0.6)) faults.slow = kernel_.Chance(0.3) ? 0.1 : 0.01;
  constexpr int kSlowestMs[] = {20, 100, 500, 500, 3000};
  faults.slowest = milliseconds(kSlowestMs[kernel_.Random(std::size(kSlowestMs))]);
  if (kernel_.Chance(0.4)) faults.break_stream = 0.001;
  if (kernel_.Chance(0.4)) faults.corrupt = 0.002;
}

void Faults::Begin() {
  Schedule();
  if (kernel_.Chance(0.5)) ScheduleQuiet();
}

// Writers rest, all of them: chunks fall idle, and are written to again.
void Faults::ScheduleQuiet() {
  kernel_.After(Between(200, 3000), nullptr, [this] {
    if (concluding_) return;
    world_.quiet_until = std::max(world_.quiet_until, kernel_.now() + Between(100, 1800));
    ScheduleQuiet();
  });
}

Duration Faults::Conclude() {
  concluding_ = true;
  return std::max(kernel_.now(), occupied_until_);
}

void Faults::End() {
  over_ = true;
  world_.network.faults = {};
  world_.network.Heal();
  for (Host* host : AllHosts()) host->paused_until = {};
  for (auto& server : world_.servers) server->disk.SetCapacity(uint64_t{1} << 40);
}

void Faults::Schedule() {
  kernel_.After(kernel_.Between(milliseconds(5), 2 * pace_), nullptr, [this] {
    if (concluding_) return;
    if (kernel_.now() < occupied_until_) return Schedule();
    int all = 0;
    for (const auto& [kind, weight] : plot_.weights) all += weight;
    int at = static_cast<int>(kernel_.Random(static_cast<uint64_t>(all)));
    auto drawn = plot_.weights.begin();
    for (; at >= drawn->second; ++drawn) at -= drawn->second;
    Strike(drawn->first);
    Schedule();
  });
}

Duration Faults::Between(int least_ms, int most_ms) {
  return kernel_.Between(milliseconds(least_ms), milliseconds(most_ms));
}

ServerNode& Faults::AnyServer() { return *world_.servers[kernel_.Random(world_.servers.size())]; }
ClientNode& Faults::AnyClient() {
  return *machines_.clients[kernel_.Random(machines_.clients.size())];
}

std::vector<Host*> Faults::AllHosts() {
  std::vector<Host*> hosts = {&world_.master->host};
  for (const auto& one : world_.servers) hosts.push_back(&one->host);
  for (ClientNode* one : machines_.clients) hosts.push_back(&one->host);
  return hosts;
}

void Faults::Strike(Kind kind) {
  ServerNode& server = AnyServer();
  switch (kind) {
    case kPowerLoss: return machines_.crash_server(server, true);
    case kKill: return machines_.crash_server(server, false);
    case kPowerLossInWrite:  // in the middle of whatever it writes next
      kernel_.counts["power losses in a write"]++;
      if (server.host.up) server.disk.FailPowerAfter(1 + kernel_.Random(30));
      return;
    case kPowerLossOfAll:
      for (const auto& one : world_.servers) machines_.crash_server(*one, true);
      return;
    case kTwoInARow: {
      machines_.crash_server(server, kernel_.Chance(0.7));
      kernel_.After(kernel_.Chance(0.5) ? Between(0, 30) : Between(30, 1200), nullptr, [this] {
        if (!over_) machines_.crash_server(AnyServer(), kernel_.Chance(0.7));
      });
      return;
    }
    case kMasterKill: return machines_.crash_master(Between(1, 1500));
    case kServerPause: return Pause(server.host, Between(10, 2500));
    case kClientPause:
      return Pause(AnyClient().host, Between(10, kernel_.Chance(0.4) ? 7000 : 1000));
    case kClientKill: {
      ClientNode& client = AnyClient();
      if (!client.host.up) return;
      client.Crash();
      return kernel_.After(Between(10, 500), nullptr, [&client] { client.Start(); });
    }
    case kPartition: return Partition();
    case kLostReplies: return LoseReplies();
    case kBrokenStreams:
      kernel_.counts["streams broken"]++;
      return world_.network.BreakStreams(server.host);
    case kSluggishHost: return MakeSluggish();
    case kLateCommands: return DelayCommands();
    case kFullDisk: return FillDisk();
    case kFailedSync: return FailSync();
    case kBitFlip: return FlipBit();
    case kCutOffPrimary: return CutOffPrimary();
    case kSleepUnanswered: return SleepUnanswered();
    case kRestartUnnoticed: return RestartUnnoticed();
    case kEchoedCommands: return EchoCommands();
    case kLoneHolder: return LeaveLoneHolder();
    case kSleepAcrossRolls: return SleepAcrossRolls();
    case kSleepAcrossPark: return SleepAcrossPark();
    case kSleepAcrossSession: return SleepAcrossSession();
    case kRest: return Rest();
  }
}

// While a recovery is under way, at any of its steps.
void Faults::StrikeRecovery() {
  kernel_.counts["recoveries struck"]++;
  kernel_.After(kernel_.Chance(0.7) ? kernel_.Between(Duration{}, milliseconds(4)) : Between(4, 60),
                nullptr, [this] {
                  if (over_) return;
                  const uint64_t what = kernel_.Random(6);
                  if (what < 2) return machines_.crash_server(AnyServer(), kernel_.Chance(0.7));
                  if (what == 2) return machines_.crash_master(Between(1, 500));
                  if (what == 3) return Pause(AnyServer().host, Between(5, 900));
                  Partition();
                });
}

void Faults::Pause(Host& host, Duration time) {
  kernel_.Trace(host.name, " is paused for ", time.count() / 1000000, " ms");
  kernel_.counts["pauses"]++;
  host.paused_until = std::max(host.paused_until, kernel_.now() + time);
}

void Faults::HealLater(Duration least, Duration most) {
  kernel_.After(kernel_.Between(least, most), nullptr, [this] {
    world_.network.Heal();
    kernel_.Trace("the network is whole");
  });
}

// One way, or both, between two; or one from all others.
void Faults::Partition() {
  std::vector<Host*> hosts = AllHosts();
  Host& from = kernel_.Chance(0.6) ? AnyServer().host : *hosts[kernel_.Random(hosts.size())];
  Host& to = *hosts[kernel_.Random(hosts.size())];
  const bool both = kernel_.Chance(0.4), all = &from == &to || kernel_.Chance(0.2);
  const bool inward = kernel_.Chance(0.3);
  for (Host* host : hosts) {
    if (host == &from || (host != &to && !all)) continue;
    if (both || !inward) world_.network.Block(from, *host);
    if (both || inward) world_.network.Block(*host, from);
  }
  kernel_.counts["partitions"]++;
  kernel_.Trace("partition: ", from.name,
                both     ? " <-> "
                : inward ? " <- "
                         : " -> ",
                all ? "all" : to.name);
  HealLater(milliseconds(20), milliseconds(2500));
}

// Clients are heard, and do not hear.
void Faults::LoseReplies() {
  kernel_.counts["partitions"]++;
  Host& client = AnyClient().host;
  kernel_.Trace(client.name, " hears no server");
  for (const auto& server : world_.servers) world_.network.Block(server->host, client);
  if (kernel_.Chance(0.3)) world_.network.Block(world_.master->host, client);
  HealLater(milliseconds(20), milliseconds(1200));
}

// What is sent to it, or by it, takes long.
void Faults::MakeSluggish() {
  kernel_.counts["sluggish hosts"]++;
  Host& host = AnyServer().host;
  const Duration most = Between(5, 200);
  const bool inward = kernel_.Chance(0.7);
  kernel_.Trace(host.name, inward ? " hears late, " : " is heard late, ", most.count() / 1000000,
                " ms");
  for (Host* other : AllHosts())
    if (other != &host && kernel_.Chance(0.8))
      world_.network.Slow(inward ? *other : host, inward ? host : *other, {most, 0});
  HealLater(milliseconds(500), milliseconds(3000));
}

// What the master tells a server comes late, and twice: after it has given up
// on it, and after what it told later.
void Faults::DelayCommands() {
  kernel_.counts["late commands"]++;
  const bool all = kernel_.Chance(0.3);
  const ServerNode& one = AnyServer();
  const Duration most = Between(5, kernel_.Chance(0.5) ? 500 : 4000);
  kernel_.Trace(all ? "all servers" : one.host.name, " get commands late, ", most.count() / 1000000,
                " ms");
  for (const auto& server : world_.servers)
    if (all || server.get() == &one)
      world_.network.Slow(world_.master->host, server->host, {most, 0.7});
  HealLater(milliseconds(300), milliseconds(3000));
}

void Faults::FillDisk() {
  ServerNode& server = AnyServer();
  if (server.disk_harmed) return;
  auto space = server.disk.GetSpace("/data");
  if (!space.ok()) return;
  kernel_.Trace(server.host.name, "'s disk is full");
  kernel_.counts["full disks"]++;
  server.disk.SetCapacity(space->total_bytes - space->available_bytes + kernel_.Random(8 << 10));
  kernel_.After(Between(50, 2000), nullptr,
                [&server] { server.disk.SetCapacity(uint64_t{1} << 40); });
}

void Faults::FailSync() {
  if (harmable_ == nullptr || !harmable_->host.up) return;
  kernel_.Trace(harmable_->host.name, ": a sync will fail");
  kernel_.counts["failed syncs"]++;
  harmable_->disk_failed = true;
  harmable_->disk.FailSyncAfter(1 + kernel_.Random(5));
  kernel_.After(Between(200, 2000), nullptr, [this] {
    if (!over_) machines_.crash_server(*harmable_, kernel_.Chance(0.5));
  });
}

std::vector<std::string> Faults::FilesOf(SimFileSystem& disk, const char* part) {
  std::vector<std::string> paths;
  std::function<void(const std::string&)> walk = [&](const std::string& path) {
    auto names = disk.List(path);
    if (!names.ok()) return paths.push_back(path);
    std::sort(names->begin(), names->end());
    for (const std::string& name : *names) walk(StrCat(path, "/", name));
  };
  walk("/data");
  std::erase_if(paths,
                [&](const std::string& path) { return path.find(part) == std::string::npos; });
  return paths;
}

void Faults::FlipBit() {
  if (harmable_ == nullptr || !harmable_->host.up) return;
  const uint64_t what = kernel_.Random(10);
  const bool flipped = what < 6   ? FlipInNewGroups()
                       : what < 8 ? FlipIn("journal")
                                  : FlipIn("chunk");
  if (flipped && kernel_.Chance(0.8))  // and it is read
    kernel_.After(Between(0, kernel_.Chance(0.5) ? 20 : 600), nullptr, [this] {
      if (!over_) machines_.crash_server(*harmable_, kernel_.Chance(0.5));
    });
}

bool Faults::FlipIn(const char* part) {
  const std::vector<std::string> paths = FilesOf(harmable_->disk, part);
  if (paths.empty()) return false;
  const std::string& path = paths[kernel_.Random(paths.size())];
  auto content = ReadWholeFile(harmable_->disk, path);
  const size_t written = content.ok() ? content->find_last_not_of('\0') : std::string::npos;
  if (written == std::string::npos) return false;
  Harm(path, kernel_.Random(written + 1), false);
  return true;
}

// In one of the groups behind the newest ones: those are not in chunk files
// yet, and their being synced can be told from the newer ones.
bool Faults::FlipInNewGroups() {
  struct Group {
    uint64_t sequence, offset, bytes;
    std::string path;
  };
  std::vector<Group> groups;
  for (const std::string& path : FilesOf(harmable_->disk, "journal")) {
    auto content = ReadWholeFile(harmable_->disk, path);
    if (!content.ok()) continue;
    const std::string_view all = *content;
    for (uint64_t at = 0; at + GroupHeader::kBytes <= all.size(); at += layout::kGroupAlignment)
      if (auto header = GroupHeader::Decode(all.substr(at, GroupHeader::kBytes));
          header && header->records > 0)
        groups.push_back({header->sequence, at, header->total_bytes(), path});
  }
  if (groups.size() < 8) return false;
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.sequence > b.sequence; });
  const Group& hit = groups[4 + kernel_.Random(4)];
  Harm(hit.path, hit.offset + kernel_.Random(hit.bytes), true);
  return true;
}

void Faults::Harm(const std::string& path, uint64_t offset, bool provable) {
  kernel_.counts["flipped bits"]++;
  kernel_.Trace(harmable_->host.name, ": a bit flips in ", path, " at ", offset);
  harmable_->Harm(path, offset, static_cast<int>(kernel_.Random(8)), provable);
}

}  // namespace appendfs::sim
