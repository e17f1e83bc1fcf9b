#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/link/frame_link.h"
#include "common/link/master_news.h"
#include "proto/chunkserver.pb.h"
#include "proto/master_calls.pb.h"

namespace appendfs {

// What may be asked over a link: a question that carries an id, and what answers
// it; and what else the other side says (MasterNews).
struct NoNews {
  static constexpr bool IsNews(const v1::DataAnswer&) { return false; }
  template <class Send>
  void OnNews(const v1::DataAnswer&, Send) {}
  void OnAnswer(const v1::DataAnswer&, std::optional<Duration>) {}
  void OnBroken() {}
  void OnStopped() {}
};
struct DataCalls {
  using Call = v1::DataCall;
  using Answer = v1::DataAnswer;
  using News = NoNews;
  static constexpr LinkKind kKind = LinkKind::kCalls;
  static constexpr const char* kPeer = "chunkserver";
};
struct CallsToMaster {
  using Call = v1::MasterCall;
  using Answer = v1::MasterAnswer;
  using News = MasterNews;
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

  typename Calls::News& news() { return news_; }

 private:
  class Stream;
  struct Pending {
    Duration deadline;
    Duration sent;
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
  typename Calls::News news_;

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
