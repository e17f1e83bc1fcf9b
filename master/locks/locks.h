#pragma once

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/status.h"
#include "master/locks/lock_table.h"
#include "master/locks/number_set.h"
#include "master/sessions/session_table.h"
#include "proto/locks.pb.h"

namespace appendfs {

// What the calls of the service `FileLocks` do, without gRPC. Locks are in
// memory only. After a start they are given out when all clients of before have
// told theirs, or when a grace is over; who comes later has lost his.
//
// Made by the composition root, which tells it when sessions end. Thread-safe;
// never waits: a call that waits is answered by whoever lets go, in his thread.
class Locks {
 public:
  // A client of before tells within a few seconds, if it is there at all.
  static constexpr Duration kGrace = std::chrono::seconds(20);

  // `known`: the sessions from before this start.
  Locks(const SessionTable& sessions, const std::vector<ClientId>& known, const Clock& clock);

  // Each answers SESSION_EXPIRED without a session.
  using SetDone = absl::AnyInvocable<void(absl::StatusOr<v1::SetLockResponse>) &&>;
  void Set(const v1::SetLockRequest& request, SetDone done);
  absl::StatusOr<v1::WithdrawLockResponse> Withdraw(const v1::WithdrawLockRequest& request);
  absl::StatusOr<v1::TestLockResponse> Test(const v1::TestLockRequest& request);
  absl::StatusOr<v1::ReclaimLocksResponse> Reclaim(const v1::ReclaimLocksRequest& request);

  // The client's session has ended.
  void EndClient(ClientId client);

 private:
  using Outcome = v1::SetLockResponse::Outcome;
  // Sent when the mutex is released.
  using Answers = std::vector<std::pair<SetDone, absl::StatusOr<Outcome>>>;
  static void Send(Answers answers);

  absl::Status CheckSession(ClientId client) const;
  absl::Status CheckGrace(ClientId client, bool unlock) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool InGrace() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetLocked(const LockCall& call, const FileLock& lock, v1::SetLockRequest::Action action,
                 SetDone done, Answers& answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers those that waited and have it now.
  void CollectGranted(Answers& answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SessionTable& sessions_;
  const Clock& clock_;
  const Duration grace_end_;

  absl::Mutex mutex_;
  LockTable table_ ABSL_GUARDED_BY(mutex_);
  std::map<LockCall, SetDone> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<ClientId, NumberSet> done_ ABSL_GUARDED_BY(mutex_);  // calls that were answered
  std::set<ClientId> to_reclaim_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
