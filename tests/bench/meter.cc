#include "tests/bench/meter.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>

namespace appendfs::bench {

double NowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double BusyCpuSeconds() {
  std::ifstream stat("/proc/stat");
  std::string label;
  double user, nice, system, idle, iowait, irq, softirq;
  if (!(stat >> label >> user >> nice >> system >> idle >> iowait >> irq >> softirq))
    throw std::runtime_error("/proc/stat cannot be read");
  return (user + nice + system + irq + softirq) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

Meter::Meter() : cpu_start_(BusyCpuSeconds()), start_(NowSeconds()) {}

void Meter::Merge(const std::vector<double>& seconds) {
  latencies_.insert(latencies_.end(), seconds.begin(), seconds.end());
}

void Meter::Stop() {
  if (end_ > 0) return;
  end_ = NowSeconds();
  cpu_end_ = BusyCpuSeconds();
}

Result Meter::Finish(const std::string& phase, uint64_t bytes) {
  Stop();
  std::sort(latencies_.begin(), latencies_.end());
  auto quantile_us = [this](double q) {
    if (latencies_.empty()) return 0.0;
    return latencies_[static_cast<size_t>(q * static_cast<double>(latencies_.size() - 1))] * 1e6;
  };
  Result result;
  result.phase = phase;
  result.operations = latencies_.size();
  result.seconds = end_ - start_;
  result.p50_us = quantile_us(0.5);
  result.p99_us = quantile_us(0.99);
  result.max_us = quantile_us(1);
  result.bytes = bytes;
  if (result.operations > 0)
    result.cpu_us = (cpu_end_ - cpu_start_) * 1e6 / static_cast<double>(result.operations);
  return result;
}

}  // namespace appendfs::bench
