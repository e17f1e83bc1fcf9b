#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "absl/synchronization/mutex.h"
#include "client/file_locks.h"
#include "client/lock_master.h"
#include "client/session.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/status.h"

namespace appendfs {

// FileLocks by asking the master; what is locked is remembered here so that it
// can be told to a master that has restarted. A session that expires takes its
// locks along: then their users are told. Owned by the client. Thread-safe.
class MasterLocks final : public FileLocks {
 public:
  MasterLocks(std::unique_ptr<LockMaster> master, Session& session, const Clock& clock,
              Executor& timers, Duration timeout);
  // No more callbacks of the master come; `timers` may go then, and then this.
  void Stop() { master_->Stop(); }

  void Lock(const FileLock& lock, bool wait, std::shared_ptr<LockUser> user, Done done) override;
  void Unlock(const FileLock& lock, Done done) override;
  bool HasAny(const FileLock& lock) const override;
  absl::StatusOr<std::optional<Holder>> Test(const FileLock& lock) override;

  // The master has restarted, and knows the session but none of its locks. An
  // error: it has not been told. Blocks.
  absl::Status Reclaim(ClientId client);
  // A new session has replaced the old one: all locks are lost.
  void OnNewSession(ClientId client);

 private:
  struct Key {
    InodeId inode;
    bool whole_file = false;
    uint64_t owner = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Held {
    LockRanges ranges;
    int32_t pid = 0;
    std::set<std::shared_ptr<LockUser>> users;  // a process may lock through several handles
    void TellLost() const;
  };
  // One call, until it is answered.
  struct Call {
    FileLock lock;
    v1::SetLockRequest::Action action{};
    uint64_t number = 0;
    Duration deadline{};  // of one that does not wait
    std::shared_ptr<LockUser> user;
    absl::Mutex mutex;
    Done done ABSL_GUARDED_BY(mutex);  // null: answered
    bool interrupted ABSL_GUARDED_BY(mutex) = false;
  };
  using CallPtr = std::shared_ptr<Call>;

  static Key KeyOf(const FileLock& lock) { return {lock.inode, lock.whole_file, lock.owner}; }
  CallPtr NewCall(const FileLock& lock, v1::SetLockRequest::Action action, Done done);
  void Attempt(const CallPtr& call);
  void OnAnswer(const CallPtr& call, ClientId asked_as,
                const absl::StatusOr<v1::SetLockResponse>& answer);
  void OnWithdrawn(const CallPtr& call);
  void Again(const CallPtr& call);
  void Interrupt(const CallPtr& call, const absl::Status& why);
  // The lock is this session's, and remembered; false: that has ended.
  bool Remember(const Call& call, ClientId asked_as);
  bool Has(const FileLock& lock) const;
  void Forget(const FileLock& lock);
  static void Answer(const CallPtr& call, absl::StatusOr<LockOutcome> outcome);

  Session& session_;
  const Clock& clock_;
  Executor& timers_;
  const Duration timeout_;
  std::atomic<uint64_t> last_number_{0};
  std::atomic<size_t> held_count_{0};

  mutable absl::Mutex mutex_;
  ClientId client_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, Held> held_ ABSL_GUARDED_BY(mutex_);

  const std::unique_ptr<LockMaster> master_;
};

}  // namespace appendfs
