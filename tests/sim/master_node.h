#pragma once

#include <functional>
#include <memory>

#include "master/durable_tables.h"
#include "master/namespace/meta_machine.h"
#include "master/rpc/master_calls.h"
#include "master/sessions/open_inodes.h"
#include "master/sessions/sessions.h"
#include "tests/sim/network.h"

namespace appendfs::sim {

struct World;

// The master: the product's namespace, sessions, chunk manager and calls, put
// together as MasterProcess does it, over tables in memory. What was proposed
// and not committed is lost with the process.
class MasterNode {
 public:
  explicit MasterNode(World& world);
  ~MasterNode();

  absl::Status Start();
  void Crash();

  Host host;
  ChunkManager& chunks();
  MasterCalls& calls();
  // What is durable.
  const KeyValueReader& tables() const { return *tables_; }

 private:
  class Log;
  class Servers;
  struct Process;

  World& world_;
  const std::shared_ptr<DurableTables> tables_;
  std::unique_ptr<Process> process_;
};

}  // namespace appendfs::sim
