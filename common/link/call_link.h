#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/link/frame_link.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// Calls to one server over a link of kind kCalls, which is made when it is
// first needed and again after it broke. Thread-safe.
class CallLink : public std::enable_shared_from_this<CallLink> {
 public:
  struct Answer {
    v1::DataAnswer header;
    Buffer payload;
  };
  // On the link's thread, the timers' or, when stopped, the caller's; must not block.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Answer>) &&>;

  // `timers` ends calls whose deadline has passed.
  CallLink(IoThreads& threads, Executor& timers, const Clock& clock, std::string address,
           std::string cluster_uuid)
      : threads_(threads),
        timers_(timers),
        clock_(clock),
        address_(std::move(address)),
        cluster_uuid_(std::move(cluster_uuid)) {}

  const std::string& address() const { return address_; }

  // One attempt, answered once, by `deadline` (Clock::Monotonic): what the other
  // side said, UNREACHABLE or TIMED_OUT. `call` has no id yet.
  void Call(v1::DataCall call, Duration deadline, Done done);
  // Ends all calls, UNREACHABLE; later ones too.
  void Stop();

 private:
  class Stream;
  struct Pending {
    Duration deadline;
    Done done;
  };
  using PendingCalls = absl::flat_hash_map<uint64_t, Pending>;

  void OnAnswer(Answer answer);
  void OnEnded(const Stream* stream, const absl::Status& why);
  void Watch(Duration deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireDue(Duration watched);

  IoThreads& threads_;
  Executor& timers_;
  const Clock& clock_;
  const std::string address_;
  const std::string cluster_uuid_;

  absl::Mutex mutex_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);  // null: none now
  PendingCalls pending_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  Duration watching_ ABSL_GUARDED_BY(mutex_) = Duration::max();  // when ExpireDue runs next
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

// The call links of a process, one per address; never shrinks. Thread-safe.
class CallLinks {
 public:
  CallLinks(IoThreads& threads, Executor& timers, const Clock& clock)
      : threads_(threads), timers_(timers), clock_(clock) {}
  ~CallLinks() { Stop(); }

  std::shared_ptr<CallLink> To(const std::string& address, const std::string& cluster_uuid);
  void Stop();

 private:
  IoThreads& threads_;
  Executor& timers_;
  const Clock& clock_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<CallLink>> links_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
