#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/status.h"

namespace appendfs {

// Ends the waits of one piece of work, once: the program that asked for it was
// killed, or an operator lost patience. Made by whoever starts the work, which
// puts it on the threads that do it (InterruptionScope); what blocks there, in
// whatever part, uses the waits below and ends early with status().
// Thread-safe.
class Interruption {
 public:
  Interruption() = default;
  Interruption(const Interruption&) = delete;

  // The one of the work that this thread does; null: nothing ends its waits.
  static Interruption* OfThisThread();
  // The same for what it hands on to others, such as a queued record; null also
  // if that goes on whatever becomes of this work (UnattendedScope).
  static Interruption* OfWorkHandedOn();

  // Ends all waits, those to come as well. `why`, an error, is what they end
  // with. Only the first call counts.
  void Fire(const absl::Status& why);
  bool fired() const { return fired_.load(std::memory_order_acquire); }
  absl::Status status() const;  // OK until it is fired

  // Runs `action` when it is fired, in that thread, holding no lock; at once if
  // it has been. Whoever does not wait for it any more forgets it by its id;
  // it may be running then, so it must own what it uses.
  uint64_t Add(std::function<void()> action);
  // The same, but does nothing and returns 0 if it has been fired.
  uint64_t AddUnlessFired(std::function<void()> action);
  void Remove(uint64_t id);

  // False as soon as it is fired, true after `time`.
  bool Sleep(Duration time);

 private:
  std::atomic<bool> fired_ = false;

  mutable absl::Mutex mutex_;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<std::pair<uint64_t, std::function<void()>>> actions_ ABSL_GUARDED_BY(mutex_);
};

// The work of `interruption` (or none, if null) is done by this thread while
// the scope lasts.
class InterruptionScope {
 public:
  explicit InterruptionScope(Interruption* interruption);
  ~InterruptionScope();
  InterruptionScope(const InterruptionScope&) = delete;

 private:
  Interruption* const before_;
};

// While the scope lasts nobody waits for what this thread hands on: an
// interruption still ends its own waits, but nothing that it has queued.
class UnattendedScope {
 public:
  UnattendedScope();
  ~UnattendedScope();
  UnattendedScope(const UnattendedScope&) = delete;

 private:
  const bool before_;
};

// Does `action` when this thread's interruption is fired while this lives; the
// rules of Interruption::Add hold. Costs nothing where there is none.
class OnInterruption {
 public:
  explicit OnInterruption(std::function<void()> action);
  ~OnInterruption();
  OnInterruption(const OnInterruption&) = delete;

 private:
  Interruption* const interruption_;
  uint64_t id_ = 0;
};

// Of this thread's interruption; OK if there is none or it is not fired.
absl::Status InterruptionStatus();

// Sleeps; false at once if interrupted.
bool SleepUnlessInterrupted(Duration time);

// As Await (common/wait.h), but false also if interrupted. `keeps_mutex` owns
// the mutex, if it does not outlive everything anyway.
bool AwaitUnlessInterrupted(absl::Mutex& mutex, const absl::Condition& condition, Duration timeout,
                            std::shared_ptr<const void> keeps_mutex = nullptr)
    ABSL_SHARED_LOCKS_REQUIRED(mutex);

// An answer that arrives once, from another thread, and one who waits for it.
// Owned by both (std::shared_ptr).
template <class T>
class PendingAnswer : public std::enable_shared_from_this<PendingAnswer<T>> {
 public:
  // Only the first one counts. False if who waited for it has left.
  bool Set(absl::StatusOr<T> answer) {
    absl::MutexLock lock(&mutex_);
    if (left_) return false;
    if (arrived_) return true;
    answer_ = std::move(answer);
    arrived_ = true;
    return true;
  }
  // The answer, or the interruption's status.
  absl::StatusOr<T> Take() {
    absl::MutexLock lock(&mutex_);
    if (!AwaitUnlessInterrupted(mutex_, absl::Condition(&arrived_), Duration::max(),
                                this->shared_from_this())) {
      left_ = true;
      return InterruptionStatus();
    }
    return std::move(answer_);
  }

 private:
  absl::Mutex mutex_;
  bool arrived_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  absl::StatusOr<T> answer_ ABSL_GUARDED_BY(mutex_) = absl::UnknownError("");
};

}  // namespace appendfs
