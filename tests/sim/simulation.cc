#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "tests/sim/ledger.h"

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
  world_.ledger = std::make_unique<Ledger>(world_);
  kernel.after_event = [this] { world_.ledger->Check(); };
  world_.on_power_lost = [this](ServerNode& server) { CrashServer(server, true); };
  world_.chunk_bytes = 1500 + kernel.Random(9000);
  world_.master = std::make_unique<MasterNode>(world_);
  const uint64_t plot = seed % Faults::Plots();
  uint64_t servers = 3 + kernel.Random(3);
  if (plot == Faults::PlotNamed("asleep across a park")) servers = std::max<uint64_t>(servers, 4);
  for (uint64_t i = 1; i <= servers; ++i) {
    world_.servers.push_back(std::make_unique<ServerNode>(world_, StrCat("cs", i)));
    (void)world_.servers.back()->disk.MakeDirectory("/data");
  }
  workload_.files = 1 + static_cast<int>(kernel.Random(3));
  workload_.record_bytes = 20 + kernel.Random(400);
  workload_.pace = WorkloadOptions::kBriskest + milliseconds(kernel.Random(20));
  workload_.conditional = kernel.Chance(0.4) ? 0.15 : 0;
  workload_.readers = 1 + static_cast<int>(kernel.Random(2));
  const uint64_t clients = 2 + kernel.Random(3);
  for (uint64_t i = 1; i <= clients; ++i)
    clients_.push_back(std::make_unique<ClientNode>(world_, StrCat("client", i), workload_));
  Faults::Machines machines;
  machines.crash_server = [this](ServerNode& server, bool power) { CrashServer(server, power); };
  machines.crash_server_for = [this](ServerNode& server, bool power, Duration down) {
    CrashServerFor(server, power, down);
  };
  machines.crash_master = [this](Duration down) { CrashMaster(down); };
  for (const auto& client : clients_) machines.clients.push_back(client.get());
  faults_ = std::make_unique<Faults>(world_, std::move(machines), plot);
  kernel.Trace("plot: ", faults_->name());
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
  else if (!server.disk_harmed && !server.disk_failed && !HasReason(status, v1::NO_SPACE))
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

void Simulation::CrashServerFor(ServerNode& server, bool power, Duration down) {
  if (!server.host.up) return;
  server.Crash(power);
  RestartLater(server, down);
}

void Simulation::CrashMaster(Duration down) {
  if (!world_.master->host.up) return;
  world_.master->Crash();
  world_.kernel.After(down, nullptr, [this] { StartMaster(); });
}

void Simulation::RunUntil(Duration end) {
  Kernel& kernel = world_.kernel;
  while (kernel.failure().empty() && kernel.now() < end)
    if (!kernel.RunOne()) return;
}

bool Simulation::MakePeace() {
  Kernel& kernel = world_.kernel;
  kernel.Trace("peace");
  faults_->End();
  for (auto& client : clients_) client->StopWriting();
  // A disk that failed stays so until the process is started again.
  for (auto& server : world_.servers)
    if ((server->disk_harmed || server->disk_failed) && server->host.up)
      CrashServer(*server, false);
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

uint64_t Simulation::RecoveriesBeforeFailure() const {
  auto named = [&failure = world_.kernel.failure()](const std::string& key) -> uint64_t {
    const size_t at = failure.find(key);
    return at == std::string::npos ? 0 : std::strtoull(&failure[at + key.size()], nullptr, 10);
  };
  const InodeId inode(named("inode="));
  return world_.ledger->Recoveries(inode ? inode
                                         : world_.ledger->InodeOf(ChunkHandle(named("chunk="))));
}

std::string Simulation::Run() {
  Kernel& kernel = world_.kernel;
  StartMaster();
  for (auto& server : world_.servers) StartServer(*server);
  for (auto& client : clients_) client->Start();
  RunUntil(kernel.now() + milliseconds(600));
  faults_->Begin();
  RunUntil(kernel.now() + seconds(6 + static_cast<int>(kernel.Random(8))));
  RunUntil(faults_->Conclude());
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
