#pragma once

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"

namespace appendfs {

// What a thread does instead of blocking. The simulator runs code that waits
// on its one thread, and lets others go on meanwhile.
class Waiter {
 public:
  virtual ~Waiter() = default;
  // Returns when `ready` is true, or after `timeout` (Duration::max(): never).
  // May throw, when the simulated process dies: nothing is caught on the way.
  virtual void Wait(const std::function<bool()>& ready, Duration timeout) = 0;
  // Null, as in every program: the thread blocks.
  static thread_local Waiter* of_this_thread;
};

// As absl::Mutex::AwaitWithTimeout, for code that the simulator runs, too.
bool Await(absl::Mutex& mutex, const absl::Condition& condition, Duration timeout)
    ABSL_SHARED_LOCKS_REQUIRED(mutex);

// Counts down to zero; one waits for it. Outlived by nobody who counts.
class CountDown {
 public:
  explicit CountDown(int count = 1) : left_(count) {}
  ~CountDown() { absl::MutexLock counted(&mutex_); }  // the last Count has let go of it
  void Count();
  void Wait();

 private:
  absl::Mutex mutex_;
  int left_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
