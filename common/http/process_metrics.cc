#include "common/http/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "common/http/families.h"

namespace appendfs {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

size_t OpenDescriptors() {
  std::error_code error;
  std::filesystem::directory_iterator all("/proc/self/fd", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> all;
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  all.push_back(CounterFamily("process_cpu_seconds_total", "User and system CPU time spent.",
                              Seconds(used.ru_utime) + Seconds(used.ru_stime)));
  uint64_t virtual_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  const auto page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  all.push_back(GaugeFamily("process_virtual_memory_bytes", "Virtual memory.",
                            static_cast<double>(virtual_pages) * page_bytes));
  all.push_back(GaugeFamily("process_resident_memory_bytes", "Resident memory.",
                            static_cast<double>(resident_pages) * page_bytes));
  all.push_back(GaugeFamily("process_open_fds", "Open file descriptors.",
                            static_cast<double>(OpenDescriptors())));
  rlimit most{};
  getrlimit(RLIMIT_NOFILE, &most);
  all.push_back(GaugeFamily("process_max_fds", "Most file descriptors that may be open.",
                            static_cast<double>(most.rlim_cur)));
  prometheus::MetricFamily build =
      GaugeFamily("appendfs_build_info", "Always 1; the version is the label's value.", 1);
  build.metric.front().label.push_back({"version", version_});
  all.push_back(std::move(build));
  return all;
}

}  // namespace appendfs
