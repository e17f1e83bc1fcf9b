#include "client/master_locks.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/file_lock_proto.h"
#include "common/interruption.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// A call that waits is asked again this often, in case the master is another.
constexpr Duration kPatience = std::chrono::seconds(20);
constexpr Duration kAttempt = std::chrono::seconds(5);
constexpr Duration kWithdraw = std::chrono::seconds(2);
constexpr Duration kPause = std::chrono::milliseconds(50);

}  // namespace

MasterLocks::MasterLocks(std::unique_ptr<LockMaster> master, Session& session, const Clock& clock,
                         Executor& timers, Duration timeout)
    : session_(session),
      clock_(clock),
      timers_(timers),
      timeout_(timeout),
      client_(session.id()),
      master_(std::move(master)) {}

MasterLocks::CallPtr MasterLocks::NewCall(const FileLock& lock, v1::SetLockRequest::Action action,
                                          Done done) {
  auto call = std::make_shared<Call>();
  call->lock = lock;
  call->action = action;
  call->number = ++last_number_;
  call->deadline = clock_.Monotonic() + timeout_;
  absl::MutexLock own(&call->mutex);
  call->done = std::move(done);
  return call;
}

void MasterLocks::Lock(const FileLock& lock, bool wait, std::shared_ptr<LockUser> user, Done done) {
  // It is let go before it is taken exclusively (LockTable).
  if (lock.whole_file && lock.mode == LockMode::kExclusive && !Has(lock)) Forget(lock);
  const CallPtr call = NewCall(
      lock, wait ? v1::SetLockRequest::LOCK_OR_WAIT : v1::SetLockRequest::LOCK, std::move(done));
  call->user = std::move(user);
  Attempt(call);
  if (Interruption* interruption = Interruption::OfWorkHandedOn())
    interruption->Add([this, weak = std::weak_ptr(call), interruption] {
      if (const CallPtr waiting = weak.lock()) Interrupt(waiting, interruption->status());
    });
}

void MasterLocks::Unlock(const FileLock& lock, Done done) {
  Forget(lock);
  Attempt(NewCall(lock, v1::SetLockRequest::UNLOCK, std::move(done)));
}

bool MasterLocks::HasAny(const FileLock& lock) const {
  if (held_count_.load(std::memory_order_relaxed) == 0) return false;
  absl::MutexLock locked(&mutex_);
  return held_.contains(KeyOf(lock));
}

void MasterLocks::Attempt(const CallPtr& call) {
  v1::SetLockRequest request;
  const ClientId client = session_.id();
  request.set_client_id(client.value());
  request.set_number(call->number);
  request.set_action(call->action);
  *request.mutable_lock() = ToProto(call->lock);
  const Duration patience = call->action == v1::SetLockRequest::LOCK_OR_WAIT ? kPatience : kAttempt;
  master_->Send(request, clock_.Monotonic() + patience,
                [this, call, client](const absl::StatusOr<v1::SetLockResponse>& answer) {
                  OnAnswer(call, client, answer);
                });
}

void MasterLocks::OnAnswer(const CallPtr& call, ClientId asked_as,
                           const absl::StatusOr<v1::SetLockResponse>& answer) {
  if (!answer.ok()) {
    if (HasReason(answer.status(), v1::SESSION_EXPIRED)) {
      session_.OnExpired(asked_as);
      // What the session had is gone with it.
      if (call->action == v1::SetLockRequest::UNLOCK) return Answer(call, LockOutcome::kGranted);
    } else if (!IsTransient(answer.status())) {
      return Answer(call, answer.status());
    }
    if (call->action != v1::SetLockRequest::LOCK_OR_WAIT && clock_.Monotonic() >= call->deadline)
      Answer(call, answer.status());
    // An unlock that nobody waits for any more still has to arrive.
    return Again(call);
  }
  switch (answer->outcome()) {
    case v1::SetLockResponse::COLLIDES: return Answer(call, LockOutcome::kCollides);
    case v1::SetLockResponse::DEADLOCK: return Answer(call, LockOutcome::kDeadlock);
    case v1::SetLockResponse::WITHDRAWN: return OnWithdrawn(call);
    default: break;
  }
  if (call->action != v1::SetLockRequest::UNLOCK && !Remember(*call, asked_as)) return Again(call);
  Answer(call, LockOutcome::kGranted);
}

// A copy of a call whose answer was lost, and it was no lock; or Interrupt did it.
void MasterLocks::OnWithdrawn(const CallPtr& call) {
  {
    absl::MutexLock own(&call->mutex);
    if (call->interrupted) return;
  }
  const bool waits = call->action == v1::SetLockRequest::LOCK_OR_WAIT;
  Answer(call, waits ? LockOutcome::kDeadlock : LockOutcome::kCollides);
}

void MasterLocks::Again(const CallPtr& call) {
  {
    absl::MutexLock own(&call->mutex);
    const bool answered = call->done == nullptr;
    if (call->interrupted || (answered && call->action != v1::SetLockRequest::UNLOCK)) return;
  }
  timers_.PostAfter(kPause, [this, call] { Attempt(call); });
}

void MasterLocks::Interrupt(const CallPtr& call, const absl::Status& why) {
  {
    absl::MutexLock own(&call->mutex);
    if (call->done == nullptr || std::exchange(call->interrupted, true)) return;
  }
  v1::WithdrawLockRequest request;
  const ClientId client = session_.id();
  request.set_client_id(client.value());
  request.set_number(call->number);
  *request.mutable_lock() = ToProto(call->lock);
  master_->Send(request, clock_.Monotonic() + kWithdraw,
                [this, call, client, why](const absl::StatusOr<v1::WithdrawLockResponse>& answer) {
                  if (answer.ok() && answer->granted() && Remember(*call, client))
                    return Answer(call, LockOutcome::kGranted);
                  // Not knowing is as not having: what there may be is let go.
                  if (!answer.ok()) Unlock(call->lock, [](absl::StatusOr<LockOutcome>) {});
                  Answer(call, why);
                });
}

void MasterLocks::Answer(const CallPtr& call, absl::StatusOr<LockOutcome> outcome) {
  Done done;
  {
    absl::MutexLock own(&call->mutex);
    done = std::exchange(call->done, nullptr);
  }
  if (done != nullptr) std::move(done)(std::move(outcome));
}

bool MasterLocks::Remember(const Call& call, ClientId asked_as) {
  absl::MutexLock locked(&mutex_);
  if (asked_as != client_) return false;
  Held& held = held_[KeyOf(call.lock)];
  held.ranges.Set(call.lock.span, call.lock.mode);
  held.pid = call.lock.pid;
  if (call.user != nullptr) held.users.insert(call.user);
  held_count_ = held_.size();
  return true;
}

void MasterLocks::Held::TellLost() const {
  for (const std::shared_ptr<LockUser>& user : users) user->lost = true;
}

bool MasterLocks::Has(const FileLock& lock) const {
  absl::MutexLock locked(&mutex_);
  auto held = held_.find(KeyOf(lock));
  return held != held_.end() && held->second.ranges.Has(lock.span, lock.mode);
}

void MasterLocks::Forget(const FileLock& lock) {
  absl::MutexLock locked(&mutex_);
  auto held = held_.find(KeyOf(lock));
  if (held == held_.end()) return;
  held->second.ranges.Clear(lock.span);
  if (held->second.ranges.empty()) held_.erase(held);
  held_count_ = held_.size();
}

absl::StatusOr<std::optional<MasterLocks::Holder>> MasterLocks::Test(const FileLock& lock) {
  const Duration deadline = clock_.Monotonic() + timeout_;
  while (true) {
    const ClientId client = session_.id();
    v1::TestLockRequest request;
    request.set_client_id(client.value());
    *request.mutable_lock() = ToProto(lock);
    auto pending = std::make_shared<PendingAnswer<v1::TestLockResponse>>();
    master_->Send(request, std::min(deadline, clock_.Monotonic() + kAttempt),
                  [pending](absl::StatusOr<v1::TestLockResponse> answer) {
                    pending->Set(std::move(answer));
                  });
    const absl::StatusOr<v1::TestLockResponse> answer = pending->Take();
    if (answer.ok()) {
      if (!answer->collides()) return std::nullopt;
      APPENDFS_ASSIGN_OR_RETURN(const FileLock held, FromProto(answer->lock()));
      return Holder{answer->holder() == client.value(), held};
    }
    const bool expired = HasReason(answer.status(), v1::SESSION_EXPIRED);
    if (expired) session_.OnExpired(client);
    if (!expired && !IsTransient(answer.status())) return answer.status();
    if (clock_.Monotonic() >= deadline || !SleepUnlessInterrupted(kPause)) return answer.status();
  }
}

absl::Status MasterLocks::Reclaim(ClientId client) {
  v1::ReclaimLocksRequest request;
  request.set_client_id(client.value());
  {
    absl::MutexLock locked(&mutex_);
    for (const auto& [key, held] : held_)
      for (const LockRanges::Range& range : held.ranges.All())
        *request.add_locks() = ToProto(
            FileLock{key.inode, key.whole_file, key.owner, range.span, range.mode, held.pid});
  }
  auto pending = std::make_shared<PendingAnswer<v1::ReclaimLocksResponse>>();
  master_->Send(request, clock_.Monotonic() + kAttempt,
                [pending](absl::StatusOr<v1::ReclaimLocksResponse> answer) {
                  pending->Set(std::move(answer));
                });
  APPENDFS_ASSIGN_OR_RETURN(const v1::ReclaimLocksResponse answer, pending->Take());
  absl::MutexLock locked(&mutex_);
  for (uint32_t index : answer.lost()) {
    if (index >= static_cast<uint32_t>(request.locks_size())) continue;
    const v1::FileLockSpec& spec = request.locks(static_cast<int>(index));
    auto held = held_.find(Key{InodeId(spec.inode()), spec.whole_file(), spec.owner()});
    if (held == held_.end()) continue;
    held->second.TellLost();
    held_.erase(held);
  }
  held_count_ = held_.size();
  return absl::OkStatus();
}

void MasterLocks::OnNewSession(ClientId client) {
  absl::MutexLock locked(&mutex_);
  client_ = client;
  for (const auto& [key, held] : held_) held.TellLost();
  held_.clear();
  held_count_ = 0;
}

}  // namespace appendfs
