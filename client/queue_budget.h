#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"

namespace appendfs {

// Bounds the bytes that all files of a client have queued. Thread-safe; costs
// two atomic additions per record while there is room.
class QueueBudget {
 public:
  explicit QueueBudget(uint64_t limit) : limit_(limit) {}

  // Takes `bytes`, waiting up to `wait` for room; false if there came none.
  // One record is let in however large it is.
  bool Acquire(uint64_t bytes, Duration wait) {
    if (TryAcquire(bytes)) return true;
    absl::MutexLock lock(&mutex_);
    waiting_.fetch_add(1);
    auto room = [this, bytes] { return TryAcquire(bytes); };
    bool got = mutex_.AwaitWithTimeout(absl::Condition(&room), absl::FromChrono(wait));
    waiting_.fetch_sub(1);
    return got;
  }

  void Release(uint64_t bytes) {
    used_.fetch_sub(bytes);
    if (waiting_.load() == 0) return;
    absl::MutexLock wake(&mutex_);  // its release has the waiters look again
  }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  bool TryAcquire(uint64_t bytes) {
    uint64_t before = used_.fetch_add(bytes);
    if (before == 0 || before + bytes <= limit_) return true;
    used_.fetch_sub(bytes);
    return false;
  }

  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
  std::atomic<int> waiting_{0};
  absl::Mutex mutex_;
};

// The highest committed size of one file that this client has seen; sizes
// never shrink. Thread-safe.
class KnownSize {
 public:
  uint64_t get() const { return bytes_.load(std::memory_order_acquire); }
  // The size after learning that it is at least `bytes`.
  uint64_t Raise(uint64_t bytes) {
    uint64_t known = get();
    while (known < bytes && !bytes_.compare_exchange_weak(known, bytes)) {
    }
    return std::max(known, bytes);
  }

 private:
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace appendfs
