#include "tests/sim/kernel.h"

#include <glog/logging.h>

#include <cstdio>

namespace appendfs::sim {
namespace {

constexpr size_t kStackBytes = 256 << 10;
struct ProcessDied {};

}  // namespace

Kernel::Kernel(uint64_t seed) : random_(seed) { Waiter::of_this_thread = this; }

Kernel::~Kernel() {
  queue_.clear();
  Waiter::of_this_thread = nullptr;
}

void Kernel::After(Duration delay, Host* host, Work work) {
  queue_.emplace(std::pair(now_ + delay, ++next_event_),
                 Event{host, host == nullptr ? 0 : host->boot, std::move(work)});
}

bool Kernel::RunOne() {
  if (queue_.empty()) return false;
  auto first = queue_.extract(queue_.begin());
  now_ = std::max(now_, first.key().first);
  Event& event = first.mapped();
  if (Host* host = event.host) {
    if (host->boot != event.boot || !host->up) return true;
    if (host->paused_until > now_) {
      queue_.emplace(std::pair(host->paused_until, ++next_event_), std::move(event));
      return true;
    }
  }
  ++events_run_;
  std::move(event.work)();
  ResumeReady();
  if (after_event) after_event();
  return true;
}

void Kernel::Enter(unsigned low, unsigned high) {
  auto* fiber =
      reinterpret_cast<Fiber*>(static_cast<uintptr_t>(low) | (static_cast<uintptr_t>(high) << 32));
  try {
    if (!fiber->dies) fiber->body();
  } catch (const ProcessDied&) {
  }
  fiber->body = nullptr;
  fiber->ended = true;
}

void Kernel::StartFiber(Host& host, std::function<void()> body) {
  auto fiber = std::make_unique<Fiber>();
  fiber->host = &host;
  fiber->body = std::move(body);
  fiber->stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack.get();
  fiber->context.uc_stack.ss_size = kStackBytes;
  fiber->context.uc_link = &main_;
  auto address = reinterpret_cast<uintptr_t>(fiber.get());
  makecontext(&fiber->context, reinterpret_cast<void (*)()>(&Kernel::Enter), 2,
              static_cast<unsigned>(address), static_cast<unsigned>(address >> 32));
  fiber->ready = [] { return true; };
  fibers_.push_back(std::move(fiber));
  After({}, &host, [] {});  // it runs after this event
}

void Kernel::Resume(Fiber& fiber) {
  CHECK(running_ == nullptr);
  running_ = &fiber;
  swapcontext(&main_, &fiber.context);
  running_ = nullptr;
}

void Kernel::ResumeReady() {
  for (auto at = fibers_.begin(); at != fibers_.end();) {
    Fiber& fiber = **at;
    if (!fiber.ended && fiber.host->paused_until <= now_ &&
        (fiber.deadline <= now_ || fiber.ready()))
      Resume(fiber);
    at = fiber.ended ? fibers_.erase(at) : std::next(at);
  }
}

void Kernel::Wait(const std::function<bool()>& ready, Duration timeout) {
  if (ready()) return;
  CHECK(running_ != nullptr) << "waits outside of a fiber";
  Fiber& self = *running_;
  if (self.dies) throw ProcessDied();
  self.ready = ready;
  self.deadline = timeout == Duration::max() ? timeout : now_ + timeout;
  if (timeout != Duration::max()) After(timeout, self.host, [] {});
  swapcontext(&self.context, &main_);
  self.ready = nullptr;
  if (self.dies) throw ProcessDied();
}

void Kernel::Die(Host& host) {
  CHECK(running_ == nullptr) << "a process dies between events";
  host.up = false;
  ++host.boot;
  host.paused_until = {};
  for (auto at = fibers_.begin(); at != fibers_.end();) {
    Fiber& fiber = **at;
    if (fiber.host == &host && !fiber.ended) {
      fiber.dies = true;
      Resume(fiber);
      CHECK(fiber.ended);
    }
    at = fiber.ended ? fibers_.erase(at) : std::next(at);
  }
}

void Kernel::PrintTrace(const std::string& line) {
  std::printf("%11.6f %s\n", std::chrono::duration<double>(now_ - seconds(1000)).count(),
              line.c_str());
}

void Kernel::Fail(const std::string& what) {
  Trace("FAILURE: ", what);
  if (failure_.empty()) failure_ = what;
}

}  // namespace appendfs::sim
