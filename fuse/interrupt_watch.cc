#include "fuse/interrupt_watch.h"

#include <iterator>

#include "absl/time/time.h"

namespace appendfs::fuse {
namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(30);

}  // namespace

InterruptWatch::InterruptWatch(Ask ask) : ask_(ask), thread_([this] { Run(); }) {}

InterruptWatch::~InterruptWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void InterruptWatch::Note(const std::shared_ptr<Call>& call) {
  absl::MutexLock lock(&mutex_);
  noted_.push_back({.call = call});
}

bool InterruptWatch::Look(Watched& watched) const {
  const std::shared_ptr<Call> call = watched.call.lock();
  if (call == nullptr || call->interruption.fired()) return false;
  const CallerWish wish = ask_(call->caller);
  if (wish == CallerWish::kWaits) {
    watched.since = Duration::zero();
    return true;
  }
  const Duration now = clock_.Monotonic();
  if (watched.since == Duration::zero()) watched.since = now;
  if (wish != CallerWish::kNoLonger && now - watched.since < kGrace) return true;
  call->interruption.Fire(MakeError(v1::INTERRUPTED, "interrupted by a signal"));
  return false;
}

void InterruptWatch::Run() {
  std::vector<Watched> watched;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      auto news = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !noted_.empty();
      };
      if (watched.empty())
        mutex_.Await(absl::Condition(&news));
      else
        mutex_.AwaitWithTimeout(absl::Condition(&news), absl::FromChrono(kLookAgain));
      if (stopping_) return;
      watched.insert(watched.end(), std::make_move_iterator(noted_.begin()),
                     std::make_move_iterator(noted_.end()));
      noted_.clear();
    }
    std::erase_if(watched, [this](Watched& one) { return !Look(one); });
  }
}

}  // namespace appendfs::fuse
