#include <pthread.h>

#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/executor.h"

namespace appendfs {
namespace {

class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(std::string name) : name_(std::move(name)), thread_([this] { Run(); }) {}
  ~ThreadExecutor() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    thread_.join();
  }

  void Post(absl::AnyInvocable<void() &&> work) override {
    absl::MutexLock lock(&mutex_);
    ready_.push_back(std::move(work));
  }
  void PostAfter(Duration delay, absl::AnyInvocable<void() &&> work) override {
    absl::MutexLock lock(&mutex_);
    auto added = delayed_.emplace(clock_.Monotonic() + delay, std::move(work));
    if (added == delayed_.begin()) earlier_timer_ = true;  // else it wakes in time anyway
  }

 private:
  bool Wakeful() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || earlier_timer_ || !ready_.empty();
  }

  void Run() {
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
    mutex_.Lock();
    while (!stopping_) {
      earlier_timer_ = false;
      Duration now = clock_.Monotonic();
      while (!delayed_.empty() && delayed_.begin()->first <= now)
        ready_.push_back(std::move(delayed_.extract(delayed_.begin()).mapped()));
      if (!ready_.empty()) {
        auto work = std::move(ready_.front());
        ready_.pop_front();
        mutex_.Unlock();
        std::move(work)();
        work = nullptr;
        mutex_.Lock();
        continue;
      }
      absl::Duration wait = delayed_.empty() ? absl::InfiniteDuration()
                                             : absl::FromChrono(delayed_.begin()->first - now);
      mutex_.AwaitWithTimeout(absl::Condition(this, &ThreadExecutor::Wakeful), wait);
    }
    mutex_.Unlock();
  }

  const std::string name_;
  const SystemClock clock_;
  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void() &&>> ready_ ABSL_GUARDED_BY(mutex_);
  std::multimap<Duration, absl::AnyInvocable<void() &&>> delayed_ ABSL_GUARDED_BY(mutex_);
  bool earlier_timer_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Executor> MakeThreadExecutor(std::string thread_name) {
  return std::make_unique<ThreadExecutor>(std::move(thread_name));
}

}  // namespace appendfs
