#pragma once

#include <prometheus/collectable.h>

#include <string>
#include <vector>

namespace appendfs {

// What the kernel says of this process, under the names that Prometheus's own
// client libraries use, and the program's version. Read when asked for.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(std::string version) : version_(std::move(version)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::string version_;
};

}  // namespace appendfs
