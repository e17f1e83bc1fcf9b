#include "tests/sim/simulation.h"

#include <algorithm>
#include <utility>

namespace appendfs::sim {

World::World(uint64_t seed) : kernel(seed) {}
World::~World() = default;

ServerNode* World::ServerAt(const std::string& address) {
  for (const auto& server : servers)
    if (server->host.name == address) return server.get();
  return nullptr;
}

Simulation::Simulation(uint64_t seed, bool trace) : world_(seed) {
  Kernel& kernel = world_.kernel;
  kernel.tracing = trace;
  world_.history = std::make_unique<History>(world_);
  world_.on_power_lost = [this](ServerNode& server) { CrashServer(server, true); };
  world_.chunk_bytes = 1500 + kernel.Random(9000);
  world_.master = std::make_unique<MasterNode>(world_);
  const uint64_t servers = 3 + kernel.Random(3);
  for (uint64_t i = 1; i <= servers; ++i) {
    world_.servers.push_back(std::make_unique<ServerNode>(world_, StrCat("cs", i)));
    (void)world_.servers.back()->disk.MakeDirectory("/data");
  }
  workload_.files = 1 + static_cast<int>(kernel.Random(3));
  workload_.record_bytes = 20 + kernel.Random(400);
  workload_.pace = milliseconds(2 + kernel.Random(20));
  workload_.conditional = kernel.Chance(0.4) ? 0.15 : 0;
  const uint64_t clients = 2 + kernel.Random(3);
  for (uint64_t i = 1; i <= clients; ++i)
    clients_.push_back(std::make_unique<ClientNode>(world_, StrCat("client", i), workload_));
  // Every run has its own weather.
  Network::Faults& faults = world_.network.faults;
  if (kernel.Chance(0.5)) faults.lose = 0.003;
  if (kernel.Chance(0.5)) faults.duplicate = 0.02;
  if (kernel.Chance(0.6)) faults.slow = kernel.Chance(0.3) ? 0.1 : 0.01;
  if (kernel.Chance(0.3)) faults.slowest = seconds(3);
  if (kernel.Chance(0.4)) faults.break_stream = 0.001;
  if (kernel.Chance(0.4)) faults.corrupt = 0.002;
  fault_pace_ = milliseconds(100 + kernel.Random(900));
  if (kernel.Chance(0.3)) harmable_ = &AnyServer();
}

Simulation::~Simulation() {
  // Nothing may come from the queue any more when the machines go.
  for (auto& client : clients_) world_.kernel.Die(client->host);
  for (auto& server : world_.servers) world_.kernel.Die(server->host);
  world_.kernel.Die(world_.master->host);
}

void Simulation::StartServer(ServerNode& server) {
  if (server.host.up) return;
  Kernel& kernel = world_.kernel;
  absl::Status status = server.Start();
  kernel.Trace(server.host.name,
               status.ok() ? " starts" : " cannot start: ", std::string(status.message()));
  if (status.ok()) return;
  // A machine that lost its power while it started, or whose disk fails.
  if (server.disk.power_is_off())
    server.disk.Crash(kernel.Random(~uint64_t{0}));
  else if (!server.disk_harmed && !HasReason(status, v1::NO_SPACE))
    return kernel.Fail(StrCat(server.host.name, " cannot start: ", status.message()));
  RestartLater(server, milliseconds(100));
}

void Simulation::StartMaster() {
  if (world_.master->host.up) return;
  absl::Status status = world_.master->Start();
  world_.kernel.Trace("master starts");
  if (!status.ok()) world_.kernel.Fail(StrCat("the master cannot start: ", status.message()));
}

void Simulation::RestartLater(ServerNode& server, Duration delay) {
  world_.kernel.After(delay, nullptr, [this, &server] { StartServer(server); });
}

void Simulation::CrashServer(ServerNode& server, bool power) {
  if (!server.host.up) return;
  server.Crash(power);
  Kernel& kernel = world_.kernel;
  if (kernel.Chance(0.1)) {  // and again while it starts
    kernel.counts["power losses at start"]++;
    server.disk.FailPowerAfter(1 + kernel.Random(20));
  }
  RestartLater(server, kernel.Chance(0.5) ? kernel.Between(milliseconds(1), milliseconds(100))
                                          : kernel.Between(milliseconds(100), seconds(3)));
}

void Simulation::ScheduleFault() {
  world_.kernel.After(world_.kernel.Between(milliseconds(5), 2 * fault_pace_), nullptr, [this] {
    if (peace_) return;
    Fault();
    ScheduleFault();
  });
}

void Simulation::Fault() {
  Kernel& kernel = world_.kernel;
  auto pause = [&](Host& host, Duration time) {
    kernel.Trace(host.name, " is paused for ", time.count() / 1000000, " ms");
    kernel.counts["pauses"]++;
    host.paused_until = std::max(host.paused_until, kernel.now() + time);
  };
  ServerNode& server = AnyServer();
  switch (kernel.Random(16)) {
    case 0:
    case 1: return CrashServer(server, true);
    case 2: return CrashServer(server, false);
    case 3:  // in the middle of whatever it writes next
      kernel.counts["power losses in a write"]++;
      if (server.host.up) server.disk.FailPowerAfter(1 + kernel.Random(30));
      return;
    case 4:
      for (const auto& one : world_.servers) CrashServer(*one, true);
      return;
    case 5:
    case 6: {
      if (!world_.master->host.up) return;
      world_.master->Crash();
      kernel.After(kernel.Between(milliseconds(1), milliseconds(1500)), nullptr,
                   [this] { StartMaster(); });
      return;
    }
    case 7: return pause(server.host, kernel.Between(milliseconds(10), milliseconds(2500)));
    case 8: {
      ClientNode& client = *clients_[kernel.Random(clients_.size())];
      return pause(client.host,
                   kernel.Between(milliseconds(10), seconds(kernel.Chance(0.3) ? 7 : 1)));
    }
    case 9: {
      ClientNode& client = *clients_[kernel.Random(clients_.size())];
      if (!client.host.up) return;
      client.Crash();
      kernel.After(kernel.Between(milliseconds(10), milliseconds(500)), nullptr,
                   [&client] { client.Start(); });
      return;
    }
    case 10:
    case 11:
    case 12: {  // one way, or both, between two; or one from all others
      std::vector<Host*> hosts = {&world_.master->host};
      for (const auto& one : world_.servers) hosts.push_back(&one->host);
      for (const auto& one : clients_) hosts.push_back(&one->host);
      Host& from = kernel.Chance(0.6) ? server.host : *hosts[kernel.Random(hosts.size())];
      Host& to = *hosts[kernel.Random(hosts.size())];
      const bool both = kernel.Chance(0.4), all = kernel.Chance(0.2);
      for (Host* host : hosts) {
        if (host == &from || (host != &to && !all)) continue;
        world_.network.Block(from, *host);
        if (both) world_.network.Block(*host, from);
      }
      kernel.counts["partitions"]++;
      kernel.Trace("partition: ", from.name, both ? " <-> " : " -> ", all ? "all" : to.name);
      kernel.After(kernel.Between(milliseconds(20), milliseconds(2500)), nullptr, [this] {
        world_.network.Heal();
        world_.kernel.Trace("the network is whole");
      });
      return;
    }
    case 13: kernel.counts["streams broken"]++; return world_.network.BreakStreams(server.host);
    case 14: {
      if (server.disk_harmed) return;
      auto space = server.disk.GetSpace("/data");
      if (!space.ok()) return;
      kernel.Trace(server.host.name, "'s disk is full");
      kernel.counts["full disks"]++;
      server.disk.SetCapacity(space->total_bytes - space->available_bytes + kernel.Random(8 << 10));
      kernel.After(kernel.Between(milliseconds(50), seconds(2)), nullptr,
                   [&server] { server.disk.SetCapacity(uint64_t{1} << 40); });
      return;
    }
    case 15: {
      if (harmable_ == nullptr) return;
      SimFileSystem& disk = harmable_->disk;
      harmable_->disk_harmed = true;
      if (kernel.Chance(0.4)) {
        kernel.Trace(harmable_->host.name, ": a sync will fail");
        kernel.counts["failed syncs"]++;
        disk.FailSyncAfter(1 + kernel.Random(5));
        kernel.After(kernel.Between(milliseconds(200), seconds(2)), nullptr,
                     [this] { CrashServer(*harmable_, world_.kernel.Chance(0.5)); });
        return;
      }
      std::vector<std::string> paths;
      std::function<void(const std::string&)> walk = [&](const std::string& path) {
        auto names = disk.List(path);
        if (!names.ok()) return paths.push_back(path);
        std::sort(names->begin(), names->end());
        for (const std::string& name : *names) walk(StrCat(path, "/", name));
      };
      walk("/data");
      std::erase_if(paths, [](const std::string& path) {
        return path.find("journal") == std::string::npos && path.find("chunk") == std::string::npos;
      });
      if (paths.empty()) return;
      const std::string& path = paths[kernel.Random(paths.size())];
      auto content = ReadWholeFile(disk, path);
      if (!content.ok() || content->empty()) return;
      kernel.counts["flipped bits"]++;
      kernel.Trace(harmable_->host.name, ": a bit flips in ", path);
      (void)disk.FlipBit(path, kernel.Random(content->size()), static_cast<int>(kernel.Random(8)));
      return;
    }
  }
}

void Simulation::Watch() {
  world_.kernel.After(milliseconds(100), nullptr, [this] {
    world_.history->CheckReplicas();
    Watch();
  });
}

void Simulation::RunUntil(Duration end) {
  Kernel& kernel = world_.kernel;
  while (kernel.failure().empty() && kernel.now() < end)
    if (!kernel.RunOne()) return;
}

bool Simulation::MakePeace() {
  Kernel& kernel = world_.kernel;
  kernel.Trace("peace");
  peace_ = true;
  Network::Faults& faults = world_.network.faults;
  faults = {};
  world_.network.Heal();
  for (auto& client : clients_) {
    client->host.paused_until = {};
    client->StopWriting();
  }
  world_.master->host.paused_until = {};
  for (auto& server : world_.servers) {
    server->host.paused_until = {};
    server->disk.SetCapacity(uint64_t{1} << 40);
    // A disk that failed stays so until the process is started again.
    if (server->disk_harmed && server->host.up) CrashServer(*server, false);
  }
  const Duration deadline = kernel.now() + seconds(90);
  while (kernel.failure().empty() && kernel.now() < deadline) {
    RunUntil(kernel.now() + seconds(1));
    if (Settled()) return true;
  }
  return false;
}

bool Simulation::Settled() {
  if (!world_.master->host.up) return false;
  for (const auto& client : clients_)
    if (!client->host.up || !client->idle()) return false;
  for (const auto& server : world_.servers)
    if (server->store() == nullptr) return false;
  return world_.history->Unhealed().empty();
}

std::string Simulation::Run() {
  Kernel& kernel = world_.kernel;
  StartMaster();
  for (auto& server : world_.servers) StartServer(*server);
  for (auto& client : clients_) client->Start();
  RunUntil(kernel.now() + milliseconds(600));
  ScheduleFault();
  Watch();
  RunUntil(kernel.now() + seconds(6 + static_cast<int>(kernel.Random(8))));
  if (kernel.failure().empty() && !MakePeace() && kernel.failure().empty()) {
    std::string why;
    for (const auto& client : clients_)
      if (!client->idle()) why += StrCat(client->host.name, " still waits. ");
    for (const auto& server : world_.servers)
      if (server->store() == nullptr) why += StrCat(server->host.name, " is down. ");
    if (why.empty()) why = world_.history->Unhealed();
    kernel.Fail(StrCat("does not heal: ", why));
  }
  // Readers get to the end of everything.
  const Duration deadline = kernel.now() + seconds(30);
  RunUntil(kernel.now() + seconds(2));
  for (int file = 0; file < workload_.files; ++file) {
    const auto number = static_cast<uint32_t>(file);
    auto behind = [&] {
      return world_.history->seen(number) <
             std::max(world_.history->fresh(number), world_.history->acknowledged(number));
    };
    while (kernel.failure().empty() && behind() && kernel.now() < deadline)
      RunUntil(kernel.now() + milliseconds(200));
    if (kernel.failure().empty() && behind())
      kernel.Fail(StrCat("file ", file,
                         " cannot be read to its end: ", world_.history->seen(number), " of ",
                         world_.history->acknowledged(number), " bytes"));
    if (kernel.failure().empty())
      world_.history->CheckFile(number, world_.history->Content(number));
  }
  kernel.counts["events"] = kernel.events();
  kernel.counts["acknowledgements"] = world_.history->acknowledgements();
  return kernel.failure();
}

}  // namespace appendfs::sim
