#pragma once

#include <atomic>
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
#include "proto/master_calls.pb.h"

namespace appendfs {

// What may be asked over a link: a question that carries an id, and what answers it.
struct DataCalls {
  using Call = v1::DataCall;
  using Answer = v1::DataAnswer;
  static constexpr LinkKind kKind = LinkKind::kCalls;
  static constexpr const char* kPeer = "chunkserver";
};
struct CallsToMaster {
  // What the master says unasked. On the link's thread; must not block.
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
  using Call = v1::MasterCall;
  using Answer = v1::MasterAnswer;
  static constexpr LinkKind kKind = LinkKind::kMaster;
  static constexpr const char* kPeer = "master";
};

// Calls to one server over a link, which is made when it is first needed and
// again after it broke. Thread-safe.
template <class Calls>
class BasicCallLink : public std::enable_shared_from_this<BasicCallLink<Calls>> {
 public:
  struct Answer {
    typename Calls::Answer header;
    Buffer payload;
  };
  // On the link's thread, the timers' or, when stopped, the caller's; must not block.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Answer>) &&>;

  // `timers` ends calls whose deadline has passed.
  BasicCallLink(IoThreads& threads, Executor& timers, const Clock& clock, std::string address,
                std::string cluster_uuid)
      : threads_(threads),
        timers_(timers),
        clock_(clock),
        address_(std::move(address)),
        cluster_uuid_(std::move(cluster_uuid)) {}

  const std::string& address() const { return address_; }

  // One attempt, answered once, by `deadline` (Clock::Monotonic): what the other
  // side said, UNREACHABLE or TIMED_OUT. `call` has no id yet.
  void Call(typename Calls::Call call, Duration deadline, Done done);
  // Breaks the connection if nothing has been heard on it since then: it may
  // lead to a host that is gone, and the next call makes another. Its calls
  // end, UNREACHABLE.
  void BreakIfSilentSince(Duration since);
  // Ends all calls, UNREACHABLE; later ones too.
  void Stop();

  // To a master only. Before the first call; `listener` outlives Stop.
  void Listen(CallsToMaster::Listener* listener) { listener_ = listener; }
  // Until when (Clock::Monotonic) what is watched over the present connection
  // may be believed.
  Duration believed_until() const { return Duration(believed_until_.load()); }

 private:
  class Stream;
  struct Pending {
    Duration deadline;
    Duration sent;
    Done done;
  };
  using PendingCalls = absl::flat_hash_map<uint64_t, Pending>;

  void OnAnswer(Answer answer);
  void OnChanged(const v1::Changed& changed, CallsToMaster::Listener::Heard heard);
  void OnEnded(const Stream* stream, const absl::Status& why);
  void Watch(Duration deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireDue(Duration watched);

  IoThreads& threads_;
  Executor& timers_;
  const Clock& clock_;
  const std::string address_;
  const std::string cluster_uuid_;
  CallsToMaster::Listener* listener_ = nullptr;

  std::atomic<int64_t> believed_until_{0};
  absl::Mutex mutex_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);  // null: none now
  PendingCalls pending_ ABSL_GUARDED_BY(mutex_);
  Duration heard_ ABSL_GUARDED_BY(mutex_){};  // when the last answer came
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  Duration watching_ ABSL_GUARDED_BY(mutex_) = Duration::max();  // when ExpireDue runs next
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

using CallLink = BasicCallLink<DataCalls>;
using MasterCallLink = BasicCallLink<CallsToMaster>;

// The call links of a process to chunkservers, one per address; never shrinks.
// Thread-safe.
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
