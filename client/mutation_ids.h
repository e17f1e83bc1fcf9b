#pragma once

#include <cstdint>
#include <set>

#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "proto/master.pb.h"

namespace appendfs {

// Numbers the namespace mutations of a session, and knows below which number
// every answer has arrived. Thread-safe.
class MutationIds {
 public:
  // A new session begins at 1 again.
  void Restart(ClientId client) {
    absl::MutexLock lock(&mutex_);
    client_ = client;
    next_ = 1;
    running_.clear();
  }

  v1::MutationId Begin() {
    absl::MutexLock lock(&mutex_);
    v1::MutationId id;
    id.set_client_id(client_.value());
    id.set_sequence(next_);
    running_.insert(next_++);
    id.set_answered_below(*running_.begin());
    return id;
  }

  // The mutation was answered, or will not be sent again.
  void End(const v1::MutationId& id) {
    absl::MutexLock lock(&mutex_);
    if (id.client_id() == client_.value()) running_.erase(id.sequence());
  }

 private:
  absl::Mutex mutex_;
  ClientId client_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::set<uint64_t> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
