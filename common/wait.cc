#include "common/wait.h"

#include "absl/time/time.h"

namespace appendfs {

thread_local Waiter* Waiter::of_this_thread = nullptr;

bool Await(absl::Mutex& mutex, const absl::Condition& condition,
           Duration timeout) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Waiter* waiter = Waiter::of_this_thread;
  if (waiter == nullptr) {
    if (timeout == Duration::max()) {
      mutex.Await(condition);
      return true;
    }
    return mutex.AwaitWithTimeout(condition, absl::FromChrono(timeout));
  }
  // Locked again whichever way it ends: the caller's scope unlocks it.
  struct Unlocked {
    explicit Unlocked(absl::Mutex& of) ABSL_NO_THREAD_SAFETY_ANALYSIS : mutex(of) {
      mutex.Unlock();
    }
    ~Unlocked() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); }
    absl::Mutex& mutex;
  };
  {
    Unlocked unlocked(mutex);
    waiter->Wait(
        [&] {
          absl::MutexLock lock(&mutex);
          return condition.Eval();
        },
        timeout);
  }
  return condition.Eval();
}

void CountDown::Count() {
  absl::MutexLock lock(&mutex_);
  --left_;
}

void CountDown::Wait() {
  absl::MutexLock lock(&mutex_);
  Await(mutex_,
        absl::Condition(
            +[](int* left) { return *left <= 0; }, &left_),
        Duration::max());
}

}  // namespace appendfs
