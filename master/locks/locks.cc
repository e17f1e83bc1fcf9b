#include "master/locks/locks.h"

#include <glog/logging.h>

#include "common/file_lock_proto.h"
#include "common/str_cat.h"

namespace appendfs {

Locks::Locks(const SessionTable& sessions, const std::vector<ClientId>& known, const Clock& clock)
    : sessions_(sessions),
      clock_(clock),
      grace_end_(clock.Monotonic() + kGrace),
      to_reclaim_(known.begin(), known.end()) {}

void Locks::Send(Answers answers) {
  for (auto& [done, outcome] : answers) {
    if (!outcome.ok()) {
      std::move(done)(outcome.status());
      continue;
    }
    v1::SetLockResponse response;
    response.set_outcome(*outcome);
    std::move(done)(std::move(response));
  }
}

absl::Status Locks::CheckSession(ClientId client) const {
  if (sessions_.IsLive(client)) return absl::OkStatus();
  return MakeError(v1::SESSION_EXPIRED,
                   StrCat("client ", client, " has no session: open a new one"));
}

bool Locks::InGrace() const { return !to_reclaim_.empty() && clock_.Monotonic() < grace_end_; }

absl::Status Locks::CheckGrace(ClientId client, bool unlock) const {
  // What the client has is not known before it has told it.
  if (!InGrace() || (unlock && !to_reclaim_.contains(client))) return absl::OkStatus();
  return MakeError(v1::NOT_READY, "the master has restarted and learns who has locked what");
}

void Locks::Set(const v1::SetLockRequest& request, SetDone done) {
  const ClientId client(request.client_id());
  if (absl::Status live = CheckSession(client); !live.ok()) return std::move(done)(live);
  const absl::StatusOr<FileLock> lock = FromProto(request.lock());
  if (!lock.ok()) return std::move(done)(lock.status());
  Answers answers;
  {
    absl::MutexLock locked(&mutex_);
    absl::Status refused = CheckGrace(client, request.action() == v1::SetLockRequest::UNLOCK);
    if (refused.ok()) {
      SetLocked({client, request.number()}, *lock, request.action(), std::move(done), answers);
    } else {
      answers.emplace_back(std::move(done), std::move(refused));
    }
  }
  // If the session has ended just now, that may have been before this.
  if (!sessions_.IsLive(client)) EndClient(client);
  Send(std::move(answers));
}

void Locks::SetLocked(const LockCall& call, const FileLock& lock, v1::SetLockRequest::Action action,
                      SetDone done, Answers& answers) {
  const bool unlock = action == v1::SetLockRequest::UNLOCK;
  NumberSet& answered = done_[call.client];
  if (answered.Contains(call.number)) {  // a copy, and the answer was lost
    answers.emplace_back(std::move(done), unlock || table_.Has(call.client, lock)
                                              ? v1::SetLockResponse::GRANTED
                                              : v1::SetLockResponse::WITHDRAWN);
    return;
  }
  if (table_.Waits(call)) {
    waiting_[call] = std::move(done);  // nobody waits for its earlier copy
    return;
  }
  Outcome outcome = v1::SetLockResponse::GRANTED;
  if (unlock) {
    table_.Unlock(call.client, lock);
  } else {
    switch (table_.Lock(call, lock, action == v1::SetLockRequest::LOCK_OR_WAIT)) {
      case LockTable::Answer::kGranted: break;
      case LockTable::Answer::kCollides: outcome = v1::SetLockResponse::COLLIDES; break;
      case LockTable::Answer::kDeadlock: outcome = v1::SetLockResponse::DEADLOCK; break;
      case LockTable::Answer::kWaits:
        waiting_[call] = std::move(done);
        CollectGranted(answers);
        return;
    }
  }
  answered.Insert(call.number);
  answers.emplace_back(std::move(done), outcome);
  CollectGranted(answers);
}

void Locks::CollectGranted(Answers& answers) {
  for (const LockCall& call : table_.TakeGranted()) {
    done_[call.client].Insert(call.number);
    auto waiting = waiting_.extract(call);
    if (!waiting.empty())
      answers.emplace_back(std::move(waiting.mapped()), v1::SetLockResponse::GRANTED);
  }
}

absl::StatusOr<v1::WithdrawLockResponse> Locks::Withdraw(const v1::WithdrawLockRequest& request) {
  const LockCall call{ClientId(request.client_id()), request.number()};
  APPENDFS_RETURN_IF_ERROR(CheckSession(call.client));
  APPENDFS_ASSIGN_OR_RETURN(const FileLock lock, FromProto(request.lock()));
  Answers answers;
  v1::WithdrawLockResponse response;
  {
    absl::MutexLock locked(&mutex_);
    NumberSet& answered = done_[call.client];
    if (answered.Contains(call.number)) {
      response.set_granted(table_.Has(call.client, lock));
    } else {
      table_.Withdraw(call);
      answered.Insert(call.number);
      auto waiting = waiting_.extract(call);
      if (!waiting.empty())
        answers.emplace_back(std::move(waiting.mapped()), v1::SetLockResponse::WITHDRAWN);
    }
    CollectGranted(answers);
  }
  Send(std::move(answers));
  return response;
}

absl::StatusOr<v1::TestLockResponse> Locks::Test(const v1::TestLockRequest& request) {
  const ClientId client(request.client_id());
  APPENDFS_RETURN_IF_ERROR(CheckSession(client));
  APPENDFS_ASSIGN_OR_RETURN(const FileLock lock, FromProto(request.lock()));
  absl::MutexLock locked(&mutex_);
  APPENDFS_RETURN_IF_ERROR(CheckGrace(client, /*unlock=*/false));
  v1::TestLockResponse response;
  if (auto holder = table_.Collision(client, lock)) {
    response.set_collides(true);
    response.set_holder(holder->client.value());
    *response.mutable_lock() = ToProto(holder->lock);
  }
  return response;
}

absl::StatusOr<v1::ReclaimLocksResponse> Locks::Reclaim(const v1::ReclaimLocksRequest& request) {
  const ClientId client(request.client_id());
  APPENDFS_RETURN_IF_ERROR(CheckSession(client));
  v1::ReclaimLocksResponse response;
  {
    absl::MutexLock locked(&mutex_);
    const bool in_time = InGrace();
    if (to_reclaim_.erase(client) == 0) return response;  // a copy
    for (int i = 0; i < request.locks_size(); ++i) {
      const absl::StatusOr<FileLock> lock = FromProto(request.locks(i));
      // Too late, others may have had it meanwhile.
      if (!in_time || !lock.ok() ||
          table_.Lock({client, 0}, *lock, /*wait=*/false) != LockTable::Answer::kGranted)
        response.add_lost(static_cast<uint32_t>(i));
    }
    if (response.lost_size() > 0)
      LOG(WARNING) << "client=" << client << " has lost " << response.lost_size() << " of "
                   << request.locks_size() << " locks";
  }
  if (!sessions_.IsLive(client)) EndClient(client);
  return response;
}

void Locks::EndClient(ClientId client) {
  Answers answers;
  std::vector<SetDone> dropped;  // their callers have no session
  {
    absl::MutexLock locked(&mutex_);
    to_reclaim_.erase(client);
    table_.EndClient(client);
    done_.erase(client);
    for (auto at = waiting_.lower_bound({client, 0});
         at != waiting_.end() && at->first.client == client; at = waiting_.erase(at))
      dropped.push_back(std::move(at->second));
    CollectGranted(answers);
  }
  for (SetDone& done : dropped)
    std::move(done)(MakeError(v1::SESSION_EXPIRED, StrCat("client ", client, " has no session")));
  Send(std::move(answers));
}

}  // namespace appendfs
