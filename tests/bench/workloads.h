#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/bench/meter.h"

namespace appendfs::bench {

// A place to run a workload in: an empty directory, and the same directory
// seen through another mount (itself where there is none).
struct Place {
  std::filesystem::path directory;
  std::filesystem::path other_view;
};

// How much work; `scale` 1 is the full size.
struct Scale {
  double factor = 1;
  uint64_t of(uint64_t full) const {
    return std::max<uint64_t>(1, static_cast<uint64_t>(static_cast<double>(full) * factor));
  }
};

struct Workload {
  std::string name;
  std::string about;
  std::function<std::vector<Result>(const Place&, const Scale&)> run;
};

// Everything that is measured, in the order it is run. A failed system call
// throws std::runtime_error that names call, file and reason.
const std::vector<Workload>& Workloads();

}  // namespace appendfs::bench
