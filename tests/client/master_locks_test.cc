#include "client/master_locks.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "common/interruption.h"
#include "tests/client/quiet_master.h"

namespace appendfs {
namespace {

using v1::SetLockRequest;
using v1::SetLockResponse;

// Calls stay until the test answers them, in any order.
class PlayedLockMaster final : public LockMaster {
 public:
  template <class Request, class Response>
  struct Sent {
    Request request;
    Done<Response> done;
  };

  void Stop() override {}
  void Send(const v1::SetLockRequest& request, Duration, Done<v1::SetLockResponse> done) override {
    sets.push_back({request, std::move(done)});
  }
  void Send(const v1::WithdrawLockRequest& request, Duration,
            Done<v1::WithdrawLockResponse> done) override {
    withdrawals.push_back({request, std::move(done)});
  }
  void Send(const v1::TestLockRequest&, Duration, Done<v1::TestLockResponse> done) override {
    std::move(done)(v1::TestLockResponse());
  }
  void Send(const v1::ReclaimLocksRequest& request, Duration,
            Done<v1::ReclaimLocksResponse> done) override {
    reclaimed = request;
    std::move(done)(on_reclaim);
  }

  std::deque<Sent<v1::SetLockRequest, v1::SetLockResponse>> sets;
  std::deque<Sent<v1::WithdrawLockRequest, v1::WithdrawLockResponse>> withdrawals;
  std::optional<v1::ReclaimLocksRequest> reclaimed;
  absl::StatusOr<v1::ReclaimLocksResponse> on_reclaim = v1::ReclaimLocksResponse();
};

// Runs nothing before it is told to.
class HeldTimers final : public Executor {
 public:
  void Post(absl::AnyInvocable<void() &&> work) override { work_.push_back(std::move(work)); }
  void PostAfter(Duration, absl::AnyInvocable<void() &&> work) override { Post(std::move(work)); }
  void RunAll() {
    for (auto work = std::exchange(work_, {}); !work.empty(); work.pop_front())
      std::move(work.front())();
  }

 private:
  std::deque<absl::AnyInvocable<void() &&>> work_;
};

class MasterLocksTest : public testing::Test {
 protected:
  using Told = std::optional<absl::StatusOr<LockOutcome>>;

  static FileLock Lock(uint64_t first = 0, uint64_t last = UINT64_MAX) {
    return {.inode = InodeId(5), .owner = 3, .span = {first, last}, .mode = LockMode::kExclusive};
  }
  std::shared_ptr<Told> Take(const FileLock& lock, bool wait = false) {
    auto told = std::make_shared<Told>();
    locks_.Lock(lock, wait, user_,
                [told](absl::StatusOr<LockOutcome> outcome) { *told = std::move(outcome); });
    return told;
  }
  void Answer(absl::StatusOr<SetLockResponse> answer) {
    ASSERT_FALSE(master_->sets.empty());
    auto done = std::move(master_->sets.front().done);
    master_->sets.pop_front();
    std::move(done)(std::move(answer));
  }
  void Answer(SetLockResponse::Outcome outcome) {
    SetLockResponse response;
    response.set_outcome(outcome);
    Answer(std::move(response));
  }
  void TakeAndHave(const FileLock& lock) {
    const auto told = Take(lock);
    Answer(SetLockResponse::GRANTED);
    ASSERT_TRUE(*told && (*told)->ok());
    ASSERT_EQ(***told, LockOutcome::kGranted);
  }
  static Reason ReasonIn(const std::shared_ptr<Told>& told) {
    return *told ? ReasonOf((*told)->status()) : v1::REASON_UNSPECIFIED;
  }

  const SystemClock clock_{};
  QuietMaster sessions_;
  const std::unique_ptr<Session> session_ =
      *Session::Open(sessions_, clock_, {}, clock_.Monotonic() + std::chrono::seconds(30));
  HeldTimers timers_;
  std::shared_ptr<LockUser> user_ = std::make_shared<LockUser>();
  PlayedLockMaster* const master_ = new PlayedLockMaster;
  MasterLocks locks_{std::unique_ptr<LockMaster>(master_), *session_, clock_, timers_,
                     std::chrono::seconds(30)};
};

TEST_F(MasterLocksTest, Granted_IsRememberedUntilUnlocked) {
  EXPECT_FALSE(locks_.HasAny(Lock()));
  TakeAndHave(Lock(0, 9));
  EXPECT_TRUE(locks_.HasAny(Lock()));
  locks_.Unlock(Lock(0, 4), [](const auto&) {});
  EXPECT_TRUE(locks_.HasAny(Lock()));
  locks_.Unlock(Lock(), [](const auto&) {});
  EXPECT_FALSE(locks_.HasAny(Lock()));
}

TEST_F(MasterLocksTest, Collides_IsNotRemembered) {
  const auto told = Take(Lock());
  Answer(SetLockResponse::COLLIDES);
  EXPECT_EQ(***told, LockOutcome::kCollides);
  EXPECT_FALSE(locks_.HasAny(Lock()));
}

TEST_F(MasterLocksTest, MasterAway_TheSameCallIsSentAgain) {
  const auto told = Take(Lock(), /*wait=*/true);
  const uint64_t number = master_->sets.front().request.number();
  Answer(MakeError(v1::UNREACHABLE, "gone"));
  EXPECT_FALSE(*told);
  timers_.RunAll();
  ASSERT_EQ(master_->sets.size(), 1u);
  EXPECT_EQ(master_->sets.front().request.number(), number);
  Answer(SetLockResponse::GRANTED);
  EXPECT_EQ(***told, LockOutcome::kGranted);
}

TEST_F(MasterLocksTest, Interrupted_WaiterIsWithdrawnAndToldSo) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  const auto told = Take(Lock(), /*wait=*/true);
  interruption.Fire(MakeError(v1::INTERRUPTED, "a signal"));
  EXPECT_FALSE(*told);  // it may have it already
  ASSERT_EQ(master_->withdrawals.size(), 1u);
  EXPECT_EQ(master_->withdrawals.front().request.number(), master_->sets.front().request.number());
  std::move(master_->withdrawals.front().done)(v1::WithdrawLockResponse());
  EXPECT_EQ(ReasonIn(told), v1::INTERRUPTED);
  EXPECT_FALSE(locks_.HasAny(Lock()));
}

TEST_F(MasterLocksTest, InterruptedTooLate_HasTheLock) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  const auto told = Take(Lock(), /*wait=*/true);
  interruption.Fire(MakeError(v1::INTERRUPTED, "a signal"));
  v1::WithdrawLockResponse granted;
  granted.set_granted(true);
  std::move(master_->withdrawals.front().done)(granted);
  EXPECT_EQ(***told, LockOutcome::kGranted);
  EXPECT_TRUE(locks_.HasAny(Lock()));
}

TEST_F(MasterLocksTest, InterruptedAndMasterAway_WhatThereMayBeIsLetGo) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  const auto told = Take(Lock(), /*wait=*/true);
  interruption.Fire(MakeError(v1::INTERRUPTED, "a signal"));
  std::move(master_->withdrawals.front().done)(MakeError(v1::UNREACHABLE, "gone"));
  EXPECT_EQ(ReasonIn(told), v1::INTERRUPTED);
  EXPECT_EQ(master_->sets.back().request.action(), SetLockRequest::UNLOCK);
}

TEST_F(MasterLocksTest, UnlockAndMasterAway_IsToldItLater) {
  TakeAndHave(Lock());
  locks_.Unlock(Lock(), [](const auto&) {});
  for (int attempt = 0; attempt < 3; ++attempt) {
    Answer(MakeError(v1::UNREACHABLE, "gone"));
    timers_.RunAll();
  }
  ASSERT_EQ(master_->sets.size(), 1u);
  EXPECT_EQ(master_->sets.front().request.action(), SetLockRequest::UNLOCK);
}

TEST_F(MasterLocksTest, MasterRestarted_IsToldWhatIsHeldAndTellsWhatIsLost) {
  TakeAndHave(Lock(0, 9));
  TakeAndHave(Lock(20, 29));
  ASSERT_TRUE(locks_.Reclaim(session_->id()).ok());
  ASSERT_EQ(master_->reclaimed->locks_size(), 2);
  EXPECT_FALSE(user_->lost);
  EXPECT_TRUE(locks_.HasAny(Lock()));
  master_->on_reclaim->add_lost(1);
  ASSERT_TRUE(locks_.Reclaim(session_->id()).ok());
  EXPECT_TRUE(user_->lost);
}

TEST_F(MasterLocksTest, NewSession_AllUsersOfAnOwnersLocksAreTold) {
  TakeAndHave(Lock(0, 9));
  const std::shared_ptr<LockUser> first = std::exchange(user_, std::make_shared<LockUser>());
  TakeAndHave(Lock(20, 29));  // the same process, through another handle
  locks_.OnNewSession(ClientId(8));
  EXPECT_TRUE(first->lost);
  EXPECT_TRUE(user_->lost);
  EXPECT_FALSE(locks_.HasAny(Lock()));
}

// What the old session was granted is nobody's.
TEST_F(MasterLocksTest, GrantedToAnEndedSession_IsAskedForAgain) {
  const auto told = Take(Lock(), /*wait=*/true);
  locks_.OnNewSession(ClientId(8));
  Answer(SetLockResponse::GRANTED);
  EXPECT_FALSE(*told);
  EXPECT_FALSE(locks_.HasAny(Lock()));
  timers_.RunAll();
  EXPECT_EQ(master_->sets.size(), 1u);
}

}  // namespace
}  // namespace appendfs
