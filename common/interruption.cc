#include "common/interruption.h"

#include "absl/time/time.h"
#include "common/wait.h"

namespace appendfs {
namespace {

thread_local Interruption* of_this_thread = nullptr;
thread_local bool unattended = false;

}  // namespace

Interruption* Interruption::OfThisThread() { return of_this_thread; }
Interruption* Interruption::OfWorkHandedOn() { return unattended ? nullptr : of_this_thread; }

void Interruption::Fire(const absl::Status& why) {
  std::vector<std::pair<uint64_t, std::function<void()>>> actions;
  {
    absl::MutexLock lock(&mutex_);
    if (!why_.ok()) return;
    why_ = why;
    fired_.store(true, std::memory_order_release);
    actions.swap(actions_);
  }
  for (auto& [id, action] : actions) action();
}

absl::Status Interruption::status() const {
  absl::MutexLock lock(&mutex_);
  return why_;
}

uint64_t Interruption::Add(std::function<void()> action) {
  const uint64_t id = AddUnlessFired(action);
  if (id == 0) action();
  return id;
}

uint64_t Interruption::AddUnlessFired(std::function<void()> action) {
  absl::MutexLock lock(&mutex_);
  if (!why_.ok()) return 0;
  actions_.emplace_back(next_, std::move(action));
  return next_++;
}

void Interruption::Remove(uint64_t id) {
  std::function<void()> removed;  // its destructor must not run under the lock
  absl::MutexLock lock(&mutex_);
  for (auto at = actions_.begin(); at != actions_.end(); ++at) {
    if (at->first != id) continue;
    removed = std::move(at->second);
    actions_.erase(at);
    return;
  }
}

bool Interruption::Sleep(Duration time) {
  absl::MutexLock lock(&mutex_);
  auto fired = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !why_.ok(); };
  return !mutex_.AwaitWithTimeout(absl::Condition(&fired), absl::FromChrono(time));
}

InterruptionScope::InterruptionScope(Interruption* interruption) : before_(of_this_thread) {
  of_this_thread = interruption;
}

InterruptionScope::~InterruptionScope() { of_this_thread = before_; }

UnattendedScope::UnattendedScope() : before_(std::exchange(unattended, true)) {}
UnattendedScope::~UnattendedScope() { unattended = before_; }

OnInterruption::OnInterruption(std::function<void()> action) : interruption_(of_this_thread) {
  if (interruption_ != nullptr) id_ = interruption_->Add(std::move(action));
}

OnInterruption::~OnInterruption() {
  if (id_ != 0) interruption_->Remove(id_);
}

absl::Status InterruptionStatus() {
  return of_this_thread == nullptr ? absl::OkStatus() : of_this_thread->status();
}

bool SleepUnlessInterrupted(Duration time) {
  Interruption* interruption = of_this_thread;
  if (interruption != nullptr) return interruption->Sleep(time);
  absl::SleepFor(absl::FromChrono(time));
  return true;
}

bool AwaitUnlessInterrupted(absl::Mutex& mutex, const absl::Condition& condition, Duration timeout,
                            std::shared_ptr<const void> keeps_mutex)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Interruption* interruption = of_this_thread;
  if (interruption == nullptr) return Await(mutex, condition, timeout);
  if (condition.Eval()) return true;
  // Releasing the mutex has everybody who waits for it look again.
  const uint64_t wake = interruption->AddUnlessFired(
      [&mutex, keeps_mutex = std::move(keeps_mutex)] { absl::MutexLock look_again(&mutex); });
  if (wake == 0) return false;
  auto ended = [&condition, interruption] { return condition.Eval() || interruption->fired(); };
  Await(mutex, absl::Condition(&ended), timeout);
  interruption->Remove(wake);
  return condition.Eval();
}

}  // namespace appendfs
