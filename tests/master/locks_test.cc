#include "master/locks/locks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>

namespace appendfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using v1::SetLockRequest;
using v1::SetLockResponse;

constexpr ClientId kHere{1}, kThere{2};

class FakeSessions final : public SessionTable {
 public:
  bool IsLive(ClientId client) const override { return live.contains(client); }
  size_t count() const override { return live.size(); }
  std::set<ClientId> live = {kHere, kThere};
};

class FakeClock final : public Clock {
 public:
  Duration Monotonic() const override { return now; }
  uint64_t WallNanos() const override { return 1; }
  Duration now = std::chrono::hours(1);
};

class LocksTest : public testing::Test {
 protected:
  using Answer = std::optional<absl::StatusOr<SetLockResponse>>;

  static v1::FileLockSpec Spec(bool exclusive = true) {
    v1::FileLockSpec spec;
    spec.set_inode(7);
    spec.set_owner(5);
    spec.set_last(UINT64_MAX);
    spec.set_exclusive(exclusive);
    return spec;
  }
  // What is answered, now or later.
  std::shared_ptr<Answer> Set(ClientId client, uint64_t number, SetLockRequest::Action action) {
    SetLockRequest request;
    request.set_client_id(client.value());
    request.set_number(number);
    request.set_action(action);
    *request.mutable_lock() = Spec();
    auto answer = std::make_shared<Answer>();
    locks_->Set(request,
                [answer](absl::StatusOr<SetLockResponse> now) { *answer = std::move(now); });
    return answer;
  }
  SetLockResponse::Outcome Now(const std::shared_ptr<Answer>& answer) {
    EXPECT_TRUE(*answer && (*answer)->ok());
    return *answer && (*answer)->ok() ? (**answer)->outcome() : SetLockResponse::WITHDRAWN;
  }
  static Reason ReasonIn(const std::shared_ptr<Answer>& answer) {
    return *answer ? ReasonOf((*answer)->status()) : v1::REASON_UNSPECIFIED;
  }
  bool Withdraw(ClientId client, uint64_t number) {
    v1::WithdrawLockRequest request;
    request.set_client_id(client.value());
    request.set_number(number);
    *request.mutable_lock() = Spec();
    return locks_->Withdraw(request)->granted();
  }
  v1::ReclaimLocksResponse Reclaim(ClientId client, bool with_lock) {
    v1::ReclaimLocksRequest request;
    request.set_client_id(client.value());
    if (with_lock) *request.add_locks() = Spec();
    return *locks_->Reclaim(request);
  }
  void Restart() {
    locks_ = std::make_unique<Locks>(sessions_, std::vector<ClientId>{kHere, kThere}, clock_);
  }

  FakeSessions sessions_;
  FakeClock clock_;
  std::unique_ptr<Locks> locks_ =
      std::make_unique<Locks>(sessions_, std::vector<ClientId>(), clock_);
};

TEST_F(LocksTest, Waiter_IsAnsweredWhenItHasTheLock) {
  EXPECT_EQ(Now(Set(kHere, 1, SetLockRequest::LOCK)), SetLockResponse::GRANTED);
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK)), SetLockResponse::COLLIDES);
  auto waiter = Set(kThere, 2, SetLockRequest::LOCK_OR_WAIT);
  EXPECT_FALSE(*waiter);
  EXPECT_EQ(Now(Set(kHere, 2, SetLockRequest::UNLOCK)), SetLockResponse::GRANTED);
  EXPECT_EQ(Now(waiter), SetLockResponse::GRANTED);
}

TEST_F(LocksTest, WaiterAskedAgain_HasItsPlaceAndOneLock) {
  Set(kHere, 1, SetLockRequest::LOCK);
  auto first = Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT);
  auto again = Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT);
  Set(kHere, 2, SetLockRequest::UNLOCK);
  EXPECT_FALSE(*first);
  EXPECT_EQ(Now(again), SetLockResponse::GRANTED);
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT)), SetLockResponse::GRANTED);
}

TEST_F(LocksTest, LateCopyOfAnUnlock_DoesNothing) {
  Set(kHere, 1, SetLockRequest::LOCK);
  Set(kHere, 2, SetLockRequest::UNLOCK);
  Set(kHere, 3, SetLockRequest::LOCK);
  EXPECT_EQ(Now(Set(kHere, 2, SetLockRequest::UNLOCK)), SetLockResponse::GRANTED);
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK)), SetLockResponse::COLLIDES);
}

TEST_F(LocksTest, LateCopyOfALock_GetsNothing) {
  Set(kHere, 1, SetLockRequest::LOCK);
  Set(kHere, 2, SetLockRequest::UNLOCK);
  EXPECT_EQ(Now(Set(kHere, 1, SetLockRequest::LOCK)), SetLockResponse::WITHDRAWN);
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK)), SetLockResponse::GRANTED);
}

TEST_F(LocksTest, Withdrawn_DoesNotGetItLaterEvenIfItArrivesLater) {
  Set(kHere, 1, SetLockRequest::LOCK);
  auto waiter = Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT);
  EXPECT_FALSE(Withdraw(kThere, 1));
  EXPECT_EQ(Now(waiter), SetLockResponse::WITHDRAWN);
  EXPECT_FALSE(Withdraw(kThere, 2));
  Set(kHere, 2, SetLockRequest::UNLOCK);
  EXPECT_EQ(Now(Set(kThere, 2, SetLockRequest::LOCK_OR_WAIT)), SetLockResponse::WITHDRAWN);
}

TEST_F(LocksTest, WithdrawnTooLate_HasIt) {
  Set(kHere, 1, SetLockRequest::LOCK);
  Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT);
  Set(kHere, 2, SetLockRequest::UNLOCK);
  EXPECT_TRUE(Withdraw(kThere, 1));
}

TEST_F(LocksTest, SessionEnds_ItsLocksGoToWhoWaits) {
  Set(kHere, 1, SetLockRequest::LOCK);
  auto waiter = Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT);
  sessions_.live.erase(kHere);
  locks_->EndClient(kHere);
  EXPECT_EQ(Now(waiter), SetLockResponse::GRANTED);
  EXPECT_EQ(ReasonIn(Set(kHere, 2, SetLockRequest::LOCK)), v1::SESSION_EXPIRED);
}

TEST_F(LocksTest, SessionOfAWaiterEnds_ItIsTold) {
  Set(kHere, 1, SetLockRequest::LOCK);
  auto waiter = Set(kThere, 1, SetLockRequest::LOCK_OR_WAIT);
  sessions_.live.erase(kThere);
  locks_->EndClient(kThere);
  EXPECT_EQ(ReasonIn(waiter), v1::SESSION_EXPIRED);
}

TEST_F(LocksTest, Restarted_NothingIsLockedBeforeAllHaveReclaimed) {
  Restart();
  EXPECT_EQ(ReasonIn(Set(kThere, 1, SetLockRequest::LOCK)), v1::NOT_READY);
  EXPECT_EQ(ReasonIn(Set(kHere, 1, SetLockRequest::UNLOCK)), v1::NOT_READY);
  EXPECT_THAT(Reclaim(kHere, true).lost(), IsEmpty());
  EXPECT_EQ(ReasonIn(Set(kThere, 1, SetLockRequest::LOCK)), v1::NOT_READY);
  EXPECT_THAT(Reclaim(kThere, false).lost(), IsEmpty());
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK)), SetLockResponse::COLLIDES);
  EXPECT_EQ(Now(Set(kHere, 1, SetLockRequest::UNLOCK)), SetLockResponse::GRANTED);
  EXPECT_EQ(Now(Set(kThere, 2, SetLockRequest::LOCK)), SetLockResponse::GRANTED);
}

TEST_F(LocksTest, GraceOver_WhoComesLaterHasLostHis) {
  Restart();
  Reclaim(kThere, false);
  clock_.now += Locks::kGrace;
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK)), SetLockResponse::GRANTED);
  EXPECT_EQ(Now(Set(kThere, 2, SetLockRequest::UNLOCK)), SetLockResponse::GRANTED);
  // Nobody has it now, but somebody had.
  EXPECT_THAT(Reclaim(kHere, true).lost(), ElementsAre(0));
  EXPECT_EQ(Now(Set(kThere, 3, SetLockRequest::LOCK)), SetLockResponse::GRANTED);
}

TEST_F(LocksTest, SessionEndsInGrace_IsNotWaitedFor) {
  Restart();
  Reclaim(kThere, false);
  sessions_.live.erase(kHere);
  locks_->EndClient(kHere);
  EXPECT_EQ(Now(Set(kThere, 1, SetLockRequest::LOCK)), SetLockResponse::GRANTED);
}

TEST_F(LocksTest, Test_NamesTheHolder) {
  Set(kHere, 1, SetLockRequest::LOCK);
  v1::TestLockRequest request;
  request.set_client_id(kThere.value());
  *request.mutable_lock() = Spec(false);
  EXPECT_EQ(locks_->Test(request)->holder(), kHere.value());
  request.set_client_id(kHere.value());
  EXPECT_FALSE(locks_->Test(request)->collides());
}

TEST(NumberSetTest, NumbersInARow_AreOneRun) {
  NumberSet set;
  for (uint64_t number : {1, 2, 5, 4, 9}) set.Insert(number);
  EXPECT_EQ(set.runs(), 3u);
  set.Insert(3);
  EXPECT_EQ(set.runs(), 2u);
  for (uint64_t number : {1, 2, 3, 4, 5, 9}) EXPECT_TRUE(set.Contains(number));
  for (uint64_t number : {0, 6, 8, 10}) EXPECT_FALSE(set.Contains(number));
  set.Insert(0);
  EXPECT_TRUE(set.Contains(0));
}

}  // namespace
}  // namespace appendfs
