#pragma once

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace appendfs {

// Metrics that are read from where they are kept when somebody asks, without
// an object of the library's behind each.

inline prometheus::ClientMetric GaugeValue(
    double value, std::vector<prometheus::ClientMetric::Label> labels = {}) {
  prometheus::ClientMetric metric;
  metric.gauge.value = value;
  metric.label = std::move(labels);
  return metric;
}

// Without values: the caller adds them.
inline prometheus::MetricFamily GaugeFamily(std::string name, std::string help) {
  return {std::move(name), std::move(help), prometheus::MetricType::Gauge, {}};
}
inline prometheus::MetricFamily GaugeFamily(std::string name, std::string help, double value) {
  return {std::move(name), std::move(help), prometheus::MetricType::Gauge, {GaugeValue(value)}};
}

inline prometheus::MetricFamily CounterFamily(std::string name, std::string help, double value) {
  prometheus::ClientMetric metric;
  metric.counter.value = value;
  return {std::move(name), std::move(help), prometheus::MetricType::Counter, {std::move(metric)}};
}

}  // namespace appendfs
