#pragma once

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/engine/links.h"
#include "common/clock.h"

namespace appendfs {

// Events on their way to the master, each kept until a heartbeat with it
// succeeded. The same event posted again meanwhile is one event. Thread-safe.
class EventQueue final : public EventSink {
 public:
  void Post(const ChunkEvent& event) override;

  // Waits until there are events, the time is over or the queue is closed; up
  // to `limit` events, oldest first, which stay.
  std::vector<ChunkEvent> Wait(Duration patience, size_t limit);
  // The first `count` events have arrived.
  void Acknowledge(size_t count);
  // Waits for the time, or until the queue is closed.
  void Pause(Duration time);
  // Wait and Pause return at once from now on.
  void Close();
  bool closed() const;

 private:
  bool Wakeful() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return closed_ || !events_.empty(); }

  mutable absl::Mutex mutex_;
  std::vector<ChunkEvent> events_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
