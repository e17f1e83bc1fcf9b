#pragma once

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/str_cat.h"
#include "common/wait.h"

namespace appendfs::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A machine of the simulation: what happens on it is dropped when its process
// dies, and put off while it is paused.
struct Host {
  std::string name;
  bool up = false;
  uint64_t boot = 0;  // rises when the process dies
  Duration paused_until{};
  Duration slow_disk_until{};
};

// The world: one thread, one queue of events, one source of randomness. The
// same seed gives the same run.
class Kernel final : public Waiter {
 public:
  using Work = absl::AnyInvocable<void() &&>;

  explicit Kernel(uint64_t seed);
  ~Kernel() override;

  Duration now() const { return now_; }
  uint64_t events() const { return events_run_; }
  uint64_t Random(uint64_t below) { return below == 0 ? 0 : random_() % below; }
  bool Chance(double probability) { return Random(1'000'000) < probability * 1'000'000; }
  Duration Between(Duration least, Duration most) {
    return least + Duration(Random(static_cast<uint64_t>((most - least).count()) + 1));
  }

  // `host` null: the world itself.
  void After(Duration delay, Host* host, Work work);
  // Runs the next event; false: there is none.
  bool RunOne();

  // Code that waits runs on a stack of its own.
  void StartFiber(Host& host, std::function<void()> body);
  // Its process is dead: nothing of it runs any more. Its fibers are unwound.
  void Die(Host& host);
  void Wait(const std::function<bool()>& ready, Duration timeout) override;

  // After every event.
  std::function<void()> after_event;

  // --- what is told of the run -----------------------------------------------
  bool tracing = false;
  template <class... Args>
  void Trace(const Args&... args) {
    if (tracing) PrintTrace(StrCat(args...));
  }
  void PrintTrace(const std::string& line);
  // The first failure ends the run.
  void Fail(const std::string& what);
  const std::string& failure() const { return failure_; }
  std::map<std::string, uint64_t> counts;

 private:
  struct Event {
    Host* host;
    uint64_t boot;
    Work work;
  };
  struct Fiber {
    Host* host;
    std::function<void()> body;
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    std::function<bool()> ready;
    Duration deadline = Duration::max();
    bool ended = false;
    bool dies = false;
  };
  static void Enter(unsigned low, unsigned high);
  void Resume(Fiber& fiber);
  void ResumeReady();

  std::mt19937_64 random_;
  Duration now_ = seconds(1000);
  uint64_t next_event_ = 0;
  uint64_t events_run_ = 0;
  std::map<std::pair<Duration, uint64_t>, Event> queue_;
  std::list<std::unique_ptr<Fiber>> fibers_;
  Fiber* running_ = nullptr;
  ucontext_t main_;
  std::string failure_;
};

class SimClock final : public Clock {
 public:
  SimClock(const Kernel& kernel, Duration offset) : kernel_(kernel), offset_(offset) {}
  Duration Monotonic() const override { return kernel_.now() + offset_; }
  uint64_t WallNanos() const override {
    return 1'700'000'000'000'000'000ull + static_cast<uint64_t>((kernel_.now() + offset_).count());
  }

 private:
  const Kernel& kernel_;
  const Duration offset_;
};

// What was posted is dropped with the executor.
class SimExecutor final : public Executor {
 public:
  SimExecutor(Kernel& kernel, Host& host) : kernel_(kernel), host_(host) {}
  void Post(absl::AnyInvocable<void() &&> work) override { PostAfter({}, std::move(work)); }
  void PostAfter(Duration delay, absl::AnyInvocable<void() &&> work) override {
    kernel_.After(delay, &host_,
                  [alive = std::weak_ptr<bool>(alive_), work = std::move(work)]() mutable {
                    if (!alive.expired()) std::move(work)();
                  });
  }

 private:
  Kernel& kernel_;
  Host& host_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace appendfs::sim
