#include "chunkserver/operations/server_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include <chrono>

#include "common/http/families.h"

namespace appendfs {
namespace {

using prometheus::Histogram;

// A sync of a good disk takes a tenth of a millisecond, of a bad one a second.
const Histogram::BucketBoundaries kSeconds = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01,
                                              0.02,   0.05,   0.1,    0.2,   0.5,   1,     5};
const Histogram::BucketBoundaries kChanges = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};

Histogram& AddHistogram(prometheus::Registry& registry, const char* name, const char* help,
                        const Histogram::BucketBoundaries& bounds) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

}  // namespace

ServerMetrics::ServerMetrics()
    : commit_seconds_(AddHistogram(
          registry_, "appendfs_store_commit_seconds",
          "Time to write one group of changes and sync it, journal and bytes in place.", kSeconds)),
      commit_changes_(AddHistogram(registry_, "appendfs_store_commit_changes",
                                   "Changes that shared one sync.", kChanges)),
      append_bytes_(prometheus::BuildCounter()
                        .Name("appendfs_store_append_bytes_total")
                        .Help("Bytes of appends made durable here, as primary and as replica.")
                        .Register(registry_)
                        .Add({})) {}

void ServerMetrics::SetStore(const ChunkStore* store) {
  absl::MutexLock lock(&mutex_);
  store_ = store;
}

void ServerMetrics::OnGroup(const Group& group) {
  commit_seconds_.Observe(std::chrono::duration<double>(group.took).count());
  commit_changes_.Observe(static_cast<double>(group.changes));
  append_bytes_.Increment(static_cast<double>(group.bytes));
}

std::vector<prometheus::MetricFamily> ServerMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> all = registry_.Collect();
  absl::MutexLock lock(&mutex_);
  if (store_ == nullptr) return all;
  const ChunkStore::Usage usage = store_->usage();
  all.push_back(GaugeFamily("appendfs_store_replicas", "Chunk replicas held.",
                            static_cast<double>(usage.chunks)));
  all.push_back(GaugeFamily("appendfs_store_unapplied_bytes",
                            "Durable in the journal and in memory, not yet in chunk files.",
                            static_cast<double>(usage.unapplied_bytes)));
  auto capacity = GaugeFamily("appendfs_disk_capacity_bytes", "Size of the disk's file system.");
  auto available = GaugeFamily("appendfs_disk_available_bytes", "Free, less the reserved room.");
  auto failed = GaugeFamily("appendfs_disk_failed", "1: the disk has failed and is not used.");
  for (const DiskState& disk : store_->disks()) {
    const prometheus::ClientMetric::Label label{"directory", disk.directory};
    capacity.metric.push_back(GaugeValue(static_cast<double>(disk.total_bytes), {label}));
    available.metric.push_back(GaugeValue(static_cast<double>(disk.available_bytes), {label}));
    failed.metric.push_back(GaugeValue(disk.failure.empty() ? 0 : 1, {label}));
  }
  for (auto* family : {&capacity, &available, &failed}) all.push_back(std::move(*family));
  return all;
}

}  // namespace appendfs
