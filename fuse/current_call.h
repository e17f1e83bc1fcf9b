#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"
#include "common/clock.h"
#include "common/interruption.h"
#include "fuse/call_stats.h"

namespace appendfs::fuse {

class Calls;

// One request of the kernel, from its arrival to its answer. Shared by whoever
// still has to do with it; the last one ends it.
struct Call {
  Call(std::shared_ptr<Calls> owner, uint64_t number, CallKind what, InodeId about, pid_t by,
       Duration at)
      : calls(std::move(owner)), id(number), kind(what), inode(about), caller(by), begun(at) {}
  ~Call();
  Call(const Call&) = delete;

  const std::shared_ptr<Calls> calls;
  const uint64_t id;
  const CallKind kind;
  const InodeId inode;
  const pid_t caller;  // the thread that asked; 0: not visible to this process
  const Duration begun;
  Interruption interruption;
  // A thread is at it; otherwise its answer comes later, from another one.
  std::atomic<bool> on_thread = true;
};

// The requests under way, and how long they took. Outlives the mount while
// late answers are due, hence shared. Thread-safe.
class Calls : public std::enable_shared_from_this<Calls> {
 public:
  std::shared_ptr<Call> Begin(CallKind kind, InodeId inode, pid_t caller);
  std::shared_ptr<Call> Find(uint64_t id) const;  // null if it was answered
  std::vector<std::shared_ptr<Call>> UnderWay() const;
  // Ends the waits of all, or of those that hold a thread; how many.
  enum class Which { kAll, kOnThread };
  size_t Interrupt(const absl::Status& why, Which which = Which::kAll);
  const CallStats& stats() const { return stats_; }
  Duration Now() const { return clock_.Monotonic(); }

 private:
  friend struct Call;
  void End(const Call& call);

  const SystemClock clock_{};
  CallStats stats_;
  mutable absl::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<uint64_t, std::weak_ptr<Call>> under_way_ ABSL_GUARDED_BY(mutex_);
};

// This thread serves `call` while the scope lasts: its waits end when the call
// is interrupted.
class CallScope {
 public:
  explicit CallScope(std::shared_ptr<Call> call);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  // Of this thread; null where none is served. Kept by who answers later.
  static std::shared_ptr<Call> Current();

 private:
  const std::shared_ptr<Call> call_;
  InterruptionScope interruption_;
};

}  // namespace appendfs::fuse
