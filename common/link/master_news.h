#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "proto/master_calls.pb.h"

namespace appendfs {

// What a master says of what a client watches over one link, besides the
// answers, and until when that may be believed (ARCHITECTURE, "What a mount
// keeps of names"). Called by the link; believed_until from any thread.
class MasterNews {
 public:
  // On the link's thread; must not block.
  class Listener {
   public:
    virtual ~Listener() = default;
    // Said before any answer that comes later. The master waits for `heard`, which may be
    // called from any thread, in the order of the changes.
    using Heard = absl::AnyInvocable<void() &&>;
    virtual void OnChanged(const v1::Changed& changed, Heard heard) = 0;
    // The answer that comes next is not watched.
    virtual void OnRefused() = 0;
    // Nobody waits for this answer any more. It may be that of a change, of
    // which nothing else is said to the client that made it.
    virtual void OnAnswerToNobody() = 0;
    // The connection is gone, and what was watched over it.
    virtual void OnLost() = 0;
  };

  // Before the first call; `listener` outlives the link's Stop.
  void Listen(Listener* listener) { listener_ = listener; }
  // Until when (Clock::Monotonic) what is watched over the present connection
  // may be believed.
  Duration believed_until() const { return Duration(believed_until_.load()); }

  static bool IsNews(const v1::MasterAnswer& said) { return said.has_changed(); }
  // `send` sends a call that is not answered, from any thread.
  template <class Send>
  void OnNews(const v1::MasterAnswer& said, Send send) {
    auto heard = [send = std::move(send), number = said.changed().number()] {
      v1::MasterCall call;
      call.set_heard(number);
      send(std::move(call));
    };
    if (listener_ == nullptr) return heard();
    listener_->OnChanged(said.changed(), std::move(heard));
  }
  // Before it is handed to who waits for it. `sent`: when the call was; none:
  // nobody waits any more.
  void OnAnswer(const v1::MasterAnswer& answer, std::optional<Duration> sent) {
    if (sent && answer.watched_ms() > 0) {
      const Duration until = *sent + std::chrono::milliseconds(answer.watched_ms());
      believed_until_.store(std::max(believed_until_.load(), until.count()));
    }
    if (listener_ == nullptr) return;
    if (!sent) listener_->OnAnswerToNobody();
    if (answer.watched_ms() == 0) listener_->OnRefused();
  }
  // Nothing may come over the next connection before this.
  void OnBroken() {
    believed_until_.store(0);
    if (listener_ != nullptr) listener_->OnLost();
  }
  void OnStopped() { believed_until_.store(0); }

 private:
  Listener* listener_ = nullptr;
  std::atomic<int64_t> believed_until_{0};
};

}  // namespace appendfs
