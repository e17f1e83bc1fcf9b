#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/interruption.h"

namespace appendfs {

// Bounds the bytes that all files of a client have queued. Thread-safe; costs
// two atomic additions per record while there is room.
class QueueBudget {
 public:
  explicit QueueBudget(uint64_t limit) : limit_(limit) {}

  // Takes `bytes`, waiting up to `wait` for room; false if there came none, or
  // if interrupted. One record is let in however large it is.
  bool Acquire(uint64_t bytes, Duration wait) {
    return TryAcquire(bytes) ||
           AwaitUntil([this, bytes] { return TryAcquire(bytes); }, bytes, wait);
  }

  // Waits for the same room without taking it.
  bool AwaitRoom(uint64_t bytes, Duration wait) {
    auto room = [this, bytes] { return HasRoom(used_.load(), bytes); };
    return room() || AwaitUntil(room, bytes, wait);
  }

  void Release(uint64_t bytes) {
    used_.fetch_sub(bytes);
    if (waiting_.load() == 0) return;
    absl::MutexLock wake(&mutex_);  // its release has the waiters look again
  }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  // Asks `done` whenever there is room, until it says so. Somebody else may have
  // taken the room that came: then the wait goes on.
  template <class Done>
  bool AwaitUntil(const Done& done, uint64_t bytes, Duration wait) {
    const SystemClock clock;
    const Duration deadline = clock.Monotonic() + wait;
    absl::MutexLock lock(&mutex_);
    waiting_.fetch_add(1);
    // The condition only looks: it may be evaluated by others, and often.
    auto room = [this, bytes] { return HasRoom(used_.load(), bytes); };
    bool is_done = false;
    while (!(is_done = done()) && InterruptionStatus().ok()) {
      const Duration left = deadline - clock.Monotonic();
      if (left <= Duration::zero()) break;
      AwaitUnlessInterrupted(mutex_, absl::Condition(&room), left);
    }
    waiting_.fetch_sub(1);
    return is_done;
  }

  bool HasRoom(uint64_t used, uint64_t bytes) const { return used == 0 || used + bytes <= limit_; }
  bool TryAcquire(uint64_t bytes) {
    uint64_t used = used_.load(std::memory_order_relaxed);
    while (HasRoom(used, bytes))
      if (used_.compare_exchange_weak(used, used + bytes)) return true;
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
