#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/appender.h"
#include "tests/sim/history.h"
#include "tests/sim/world.h"

namespace appendfs::sim {

struct WorkloadOptions {
  static constexpr Duration kBriskest = milliseconds(2);
  int files = 3;
  size_t record_bytes = 200;  // at most, roughly
  Duration pace = milliseconds(8);
  double conditional = 0.1;
  int readers = 1;
};

// A client: the product's session and appenders, a workload on top, and
// readers that look at what everybody writes.
class ClientNode {
 public:
  ClientNode(World& world, std::string name, const WorkloadOptions& workload);
  ~ClientNode();

  void Start();
  void Crash();
  // No new records from now on.
  void StopWriting() { writing_ = false; }
  bool idle() const;  // everything was answered

  Host host;

 private:
  class Master;
  class AppendWay;
  class AppendWays;
  class Process;
  friend class Process;

  World& world_;
  const WorkloadOptions workload_;
  bool writing_ = true;
  std::unique_ptr<Process> process_;
  static uint32_t last_process_;
};

}  // namespace appendfs::sim
