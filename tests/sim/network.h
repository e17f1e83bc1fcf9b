#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "tests/sim/kernel.h"

namespace appendfs::sim {

class Network;

// A connection: keeps order per direction, loses nothing until it breaks, and
// then both ends are told, each in its time. Messages are closures that run at
// the other end.
class Stream final : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Network& network, Host& a, Host& b) : network_(network) {
    ends_[0] = {&a, a.boot};
    ends_[1] = {&b, b.boot};
  }
  void OnBroken(int end, std::function<void()> told) { ends_[end].told = std::move(told); }
  // False: this end knows that it is broken.
  bool Send(int from, Kernel::Work deliver);
  void Break();
  bool Touches(const Host& host) const { return ends_[0].host == &host || ends_[1].host == &host; }
  bool dead() const { return broken_; }

 private:
  struct End {
    Host* host = nullptr;
    uint64_t boot = 0;
    std::function<void()> told;
    bool closed = false;
    std::deque<std::pair<Duration, Kernel::Work>> inbox;
    bool pumping = false;
    Duration stalled_since{};
  };
  void Pump(int to);

  Network& network_;
  End ends_[2];
  bool broken_ = false;
};

// What lies between the machines.
class Network {
 public:
  explicit Network(Kernel& kernel) : kernel_(kernel) {}
  Kernel& kernel() { return kernel_; }

  struct Faults {
    double lose = 0, duplicate = 0, slow = 0, break_stream = 0, corrupt = 0;
    Duration slowest = milliseconds(500);
  } faults;

  void Add(const std::string& address, Host& host) { hosts_[address] = &host; }
  Host* Find(const std::string& address) {
    auto found = hosts_.find(address);
    return found == hosts_.end() ? nullptr : found->second;
  }
  void Block(const Host& from, const Host& to) { blocked_.emplace(&from, &to); }
  // What goes this way is late, by so much at most and at least, and doubled so
  // often. `echoes`: only what is doubled is late, the second time it comes.
  struct Way {
    Duration late{};
    double duplicate = 0;
    Duration least{};
    bool echoes = false;
  };
  void Slow(const Host& from, const Host& to, Way way) { ways_[{&from, &to}] = way; }
  void Heal() {
    blocked_.clear();
    ways_.clear();
  }
  bool Blocked(const Host& from, const Host& to) const { return blocked_.contains({&from, &to}); }
  Duration Delay(const Host& from, const Host& to, bool again = false);

  std::shared_ptr<Stream> Connect(Host& from, Host& to);
  void BreakStreams(const Host& of);

  // One question and its answer, either of which may be lost, late or, the
  // question, doubled. `serve` runs at `to`; its argument may be called once,
  // whenever. `done` runs once at `from`, by the timeout.
  template <class Response>
  using Reply = std::function<void(absl::StatusOr<Response>)>;
  template <class Response>
  void Call(Host& from, Host& to, Duration timeout, std::function<void(Reply<Response>)> serve,
            absl::AnyInvocable<void(absl::StatusOr<Response>) &&> done);

 private:
  void Carry(Host& from, Host& to, std::function<void()> arrive, std::function<void()> refused);

  Kernel& kernel_;
  std::map<std::string, Host*> hosts_;
  std::set<std::pair<const Host*, const Host*>> blocked_;
  std::map<std::pair<const Host*, const Host*>, Way> ways_;
  std::vector<std::weak_ptr<Stream>> streams_;
};

template <class Response>
void Network::Call(Host& from, Host& to, Duration timeout,
                   std::function<void(Reply<Response>)> serve,
                   absl::AnyInvocable<void(absl::StatusOr<Response>) &&> done) {
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>) &&>;
  auto waiting = std::make_shared<Done>(std::move(done));
  const uint64_t boot = from.boot;
  auto finish = [this, &from, boot, waiting](absl::StatusOr<Response> answer) {
    if (from.boot != boot || *waiting == nullptr) return;
    kernel_.After({}, &from, [waiting, answer = std::move(answer)]() mutable {
      if (Done once = std::exchange(*waiting, nullptr)) std::move(once)(std::move(answer));
    });
  };
  kernel_.After(timeout, &from, [finish, name = to.name] {
    finish(MakeError(v1::TIMED_OUT, StrCat(name, " does not answer")));
  });
  Carry(
      from, to,
      [this, &from, &to, serve = std::move(serve), finish] {
        serve([this, &from, &to, finish, boot = to.boot](absl::StatusOr<Response> answer) {
          if (to.boot != boot) return;
          Carry(
              to, from, [finish, answer] { finish(answer); }, [] {});
        });
      },
      [finish, name = to.name] {
        finish(MakeError(v1::UNREACHABLE, StrCat(name, " is not there")));
      });
}

}  // namespace appendfs::sim
