#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/executor.h"

namespace appendfs {

// Time that stands still until a test moves it, and what is due at which time.
// One thread.
class SimulatedTime final : public Clock {
 public:
  Duration Monotonic() const override { return now_; }
  uint64_t WallNanos() const override { return 1'700'000'000'000'000'000 + now_.count(); }

  void After(Duration delay, absl::AnyInvocable<void() &&> work) {
    due_.emplace(now_ + delay, std::move(work));
  }
  // Runs what is due within `duration`, in order.
  void RunFor(Duration duration) {
    RunUntil([] { return false; }, duration);
  }
  // Stops once `condition` holds; false if it does not within `bound`.
  bool RunUntil(const std::function<bool()>& condition, Duration bound) {
    const Duration end = now_ + bound;
    while (!condition()) {
      if (due_.empty() || due_.begin()->first > end) {
        now_ = end;
        return condition();
      }
      auto next = due_.extract(due_.begin());
      now_ = std::max(now_, next.key());
      std::move(next.mapped())();
    }
    return true;
  }

 private:
  Duration now_ = std::chrono::hours(1);
  std::multimap<Duration, absl::AnyInvocable<void() &&>> due_;  // equal keys: in order of insertion
};

// An executor on simulated time. What it has not run when it is destroyed is
// dropped.
class SimulatedExecutor final : public Executor {
 public:
  explicit SimulatedExecutor(SimulatedTime& time) : time_(time) {}
  ~SimulatedExecutor() override { *alive_ = false; }

  void Post(absl::AnyInvocable<void() &&> work) override {
    PostAfter(Duration::zero(), std::move(work));
  }
  void PostAfter(Duration delay, absl::AnyInvocable<void() &&> work) override {
    time_.After(delay, [alive = alive_, work = std::move(work)]() mutable {
      if (*alive) std::move(work)();
    });
  }

 private:
  SimulatedTime& time_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace appendfs
