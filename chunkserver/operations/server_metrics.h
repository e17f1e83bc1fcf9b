#pragma once

#include <prometheus/collectable.h>
#include <prometheus/registry.h>

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/store/chunk_store.h"

namespace appendfs {

// What a chunkserver tells Prometheus: how its journals do, group by group, and
// how full its disks are. Made before the store, which it observes; asks it
// only between SetStore calls. Thread-safe.
class ServerMetrics final : public StoreObserver, public prometheus::Collectable {
 public:
  ServerMetrics();

  // Whom Collect asks; null: nobody, the store is going away.
  void SetStore(const ChunkStore* store);

  void OnGroup(const Group& group) override;
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  prometheus::Registry registry_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& commit_changes_;
  prometheus::Counter& append_bytes_;
  mutable absl::Mutex mutex_;
  const ChunkStore* store_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace appendfs
