#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <utility>
#include <vector>

#include "common/status.h"
#include "proto/master.pb.h"

namespace appendfs {

// What the master tells Prometheus of the cluster: the numbers of `admin
// status` and `admin servers`, read when asked for. Thread-safe if the two are.
class MasterMetrics final : public prometheus::Collectable {
 public:
  using GetStatus = std::function<absl::StatusOr<v1::GetStatusResponse>()>;
  using ListServers = std::function<v1::ListServersResponse()>;
  MasterMetrics(GetStatus status, ListServers servers)
      : status_(std::move(status)), servers_(std::move(servers)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const GetStatus status_;
  const ListServers servers_;
};

}  // namespace appendfs
