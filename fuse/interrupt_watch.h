#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "fuse/caller.h"
#include "fuse/current_call.h"

namespace appendfs::fuse {

// Decides which interrupted requests end, with a thread of its own. The kernel
// says only once, and of any signal, that a request was interrupted; but Go
// preempts its threads with signals, and a write must not fail for that. So an
// interrupted request's caller is looked at until it is answered: one that is
// killed is let go at once, one that got a signal meant for it after a grace
// in which a healthy cluster answers, any other waits on.
class InterruptWatch {
 public:
  using Ask = CallerWish (*)(pid_t thread);
  explicit InterruptWatch(Ask ask = AskCaller);
  ~InterruptWatch();

  // The kernel says it was interrupted. Never blocks.
  void Note(const std::shared_ptr<Call>& call);

  static constexpr Duration kGrace = std::chrono::milliseconds(300);

 private:
  struct Watched {
    std::weak_ptr<Call> call;
    Duration since{};  // when a signal was first seen that is meant; zero: never
  };
  void Run();
  // Whether it is to be looked at again.
  bool Look(Watched& watched) const;

  const Ask ask_;
  const SystemClock clock_{};
  absl::Mutex mutex_;
  std::vector<Watched> noted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace appendfs::fuse
