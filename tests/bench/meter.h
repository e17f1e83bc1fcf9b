#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace appendfs::bench {

double NowSeconds();      // monotonic
double BusyCpuSeconds();  // of the whole machine since boot, all processes and the kernel

// What one phase of a workload cost.
struct Result {
  std::string phase;
  uint64_t operations = 0;
  double seconds = 0;
  double p50_us = 0, p99_us = 0, max_us = 0;  // per operation
  double cpu_us = 0;                          // whole machine, per operation
  uint64_t bytes = 0;                         // moved in all; 0: not a matter of bytes

  double ops_per_second() const { return seconds > 0 ? operations / seconds : 0; }
  double megabytes_per_second() const { return seconds > 0 ? bytes / seconds / 1e6 : 0; }
};

// Collects one phase: the time and CPU between construction and Finish, and
// the latencies added in between. Not thread-safe: threads keep vectors of
// their own and Merge them after they were joined.
class Meter {
 public:
  Meter();
  void Add(double seconds) { latencies_.push_back(seconds); }
  void Merge(const std::vector<double>& seconds);
  // Ends the measured time; later work does not count.
  void Stop();
  Result Finish(const std::string& phase, uint64_t bytes = 0);

 private:
  const double cpu_start_, start_;
  double cpu_end_ = 0, end_ = 0;
  std::vector<double> latencies_;
};

}  // namespace appendfs::bench
