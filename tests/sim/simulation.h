#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client_node.h"
#include "tests/sim/faults.h"
#include "tests/sim/history.h"
#include "tests/sim/master_node.h"
#include "tests/sim/server_node.h"
#include "tests/sim/world.h"

namespace appendfs::sim {

// One run: a cluster under load and faults for some simulated seconds, then
// peace, in which it must heal. The seed decides everything.
class Simulation {
 public:
  Simulation(uint64_t seed, bool trace);
  ~Simulation();

  // Empty: nothing was violated.
  std::string Run();
  const std::map<std::string, uint64_t>& counts() const { return world_.kernel.counts; }
  // Of the file that the failure is about, until it showed.
  uint64_t RecoveriesBeforeFailure() const;

 private:
  void StartServer(ServerNode& server);
  void StartMaster();
  void RunUntil(Duration end);
  void CrashServer(ServerNode& server, bool power);
  void CrashServerFor(ServerNode& server, bool power, Duration down);
  void CrashMaster(Duration down);
  void RestartLater(ServerNode& server, Duration delay);
  bool MakePeace();
  bool Settled();

  World world_;
  WorkloadOptions workload_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
  std::unique_ptr<Faults> faults_;
};

}  // namespace appendfs::sim
