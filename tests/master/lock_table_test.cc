#include "master/locks/lock_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace appendfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using enum LockTable::Answer;

constexpr ClientId kHere{1}, kThere{2};
constexpr InodeId kFile{7};

class LockTableTest : public testing::Test {
 protected:
  static FileLock Record(uint64_t owner, LockMode mode, LockSpan span = {}) {
    return {.inode = kFile, .owner = owner, .span = span, .mode = mode, .pid = 100};
  }
  static FileLock Flock(uint64_t owner, LockMode mode) {
    return {.inode = kFile, .whole_file = true, .owner = owner, .mode = mode};
  }
  static FileLock Read(uint64_t owner, LockSpan span = {}) {
    return Record(owner, LockMode::kShared, span);
  }
  static FileLock Write(uint64_t owner, LockSpan span = {}) {
    return Record(owner, LockMode::kExclusive, span);
  }
  LockTable::Answer Try(ClientId client, const FileLock& lock) {
    return table_.Lock({client, ++calls_}, lock, false);
  }
  LockTable::Answer Wait(ClientId client, uint64_t number, const FileLock& lock) {
    return table_.Lock({client, number}, lock, true);
  }
  std::vector<uint64_t> Granted() {
    std::vector<uint64_t> numbers;
    for (const LockCall& call : table_.TakeGranted()) numbers.push_back(call.number);
    return numbers;
  }

  LockTable table_;
  uint64_t calls_ = 1000;
};

TEST_F(LockTableTest, Exclusive_KeepsOthersOutOnAllClients) {
  EXPECT_EQ(Try(kHere, Write(1)), kGranted);
  EXPECT_EQ(Try(kHere, Read(2)), kCollides);
  EXPECT_EQ(Try(kThere, Write(1)), kCollides);  // another owner, though of the same number
  EXPECT_EQ(Try(kHere, Write(1)), kGranted);
  table_.Unlock(kHere, Write(1));
  EXPECT_EQ(table_.files(), 0u);
  EXPECT_EQ(Try(kThere, Write(1)), kGranted);
}

TEST_F(LockTableTest, Shared_IsShared) {
  EXPECT_EQ(Try(kHere, Read(1)), kGranted);
  EXPECT_EQ(Try(kThere, Read(1)), kGranted);
  EXPECT_EQ(Try(kThere, Write(1)), kCollides);  // and keeps what it has
  EXPECT_TRUE(table_.Has(kThere, Read(1)));
  table_.Unlock(kHere, Read(1));
  EXPECT_EQ(Try(kThere, Write(1)), kGranted);
}

TEST_F(LockTableTest, OtherBytes_DoNotCollide) {
  EXPECT_EQ(Try(kHere, Write(1, {0, 9})), kGranted);
  EXPECT_EQ(Try(kThere, Write(1, {10, 19})), kGranted);
  EXPECT_EQ(Try(kThere, Write(1, {9, 10})), kCollides);
  EXPECT_EQ(Try(kHere, Flock(1, LockMode::kExclusive)), kGranted);  // of another world
}

TEST_F(LockTableTest, LetGo_WaitersGetItInTheirOrder) {
  EXPECT_EQ(Try(kHere, Write(1)), kGranted);
  EXPECT_EQ(Wait(kThere, 1, Read(1)), kWaits);
  EXPECT_EQ(Wait(kThere, 2, Write(2)), kWaits);
  EXPECT_EQ(Wait(kThere, 3, Read(3)), kWaits);
  EXPECT_THAT(Granted(), IsEmpty());
  table_.Unlock(kHere, Write(1));
  EXPECT_THAT(Granted(), ElementsAre(1, 3));
  table_.Unlock(kThere, Read(1));
  EXPECT_THAT(Granted(), IsEmpty());
  table_.Unlock(kThere, Read(3));
  EXPECT_THAT(Granted(), ElementsAre(2));
  EXPECT_FALSE(table_.Waits({kThere, 2}));
  EXPECT_TRUE(table_.Has(kThere, Write(2)));
}

TEST_F(LockTableTest, Weakened_WaitersGetWhatGoesWithIt) {
  EXPECT_EQ(Try(kHere, Write(1)), kGranted);
  EXPECT_EQ(Wait(kThere, 1, Read(1)), kWaits);
  EXPECT_EQ(Try(kHere, Read(1)), kGranted);
  EXPECT_THAT(Granted(), ElementsAre(1));
}

TEST_F(LockTableTest, Withdrawn_GetsNothing) {
  EXPECT_EQ(Try(kHere, Write(1)), kGranted);
  EXPECT_EQ(Wait(kThere, 1, Write(1)), kWaits);
  EXPECT_TRUE(table_.Waits({kThere, 1}));
  EXPECT_TRUE(table_.Withdraw({kThere, 1}));
  EXPECT_FALSE(table_.Withdraw({kThere, 1}));
  table_.Unlock(kHere, Write(1));
  EXPECT_THAT(Granted(), IsEmpty());
  EXPECT_EQ(table_.files(), 0u);
}

TEST_F(LockTableTest, ClientEnds_ItsLocksAndWaitsAreGone) {
  EXPECT_EQ(Try(kHere, Write(1)), kGranted);
  EXPECT_EQ(Try(kHere, Flock(1, LockMode::kExclusive)), kGranted);
  EXPECT_EQ(Wait(kHere, 1, Write(2)), kWaits);
  EXPECT_EQ(Wait(kThere, 2, Write(3)), kWaits);
  table_.EndClient(kHere);
  EXPECT_THAT(Granted(), ElementsAre(2));
  EXPECT_FALSE(table_.Waits({kHere, 1}));
  table_.EndClient(kThere);
  EXPECT_EQ(table_.files(), 0u);
}

TEST_F(LockTableTest, RecordUpgradeThatWaits_KeepsWhatItHas) {
  EXPECT_EQ(Try(kHere, Read(1)), kGranted);
  EXPECT_EQ(Try(kThere, Read(2)), kGranted);
  EXPECT_EQ(Wait(kHere, 1, Write(1)), kWaits);
  EXPECT_EQ(Try(kThere, Write(3)), kCollides);
  table_.Unlock(kThere, Read(2));
  EXPECT_THAT(Granted(), ElementsAre(1));
}

TEST_F(LockTableTest, FlockUpgrade_LetsGoFirst) {
  EXPECT_EQ(Try(kHere, Flock(1, LockMode::kShared)), kGranted);
  EXPECT_EQ(Try(kThere, Flock(2, LockMode::kShared)), kGranted);
  EXPECT_EQ(Wait(kHere, 1, Flock(1, LockMode::kExclusive)), kWaits);
  EXPECT_EQ(Wait(kThere, 2, Flock(2, LockMode::kExclusive)), kWaits);
  EXPECT_THAT(Granted(), ElementsAre(1));  // no deadlock of two that upgrade
  table_.Unlock(kHere, Flock(1, LockMode::kExclusive));
  EXPECT_THAT(Granted(), ElementsAre(2));
}

TEST_F(LockTableTest, CircleOfWaiters_LastOneIsToldOfTheDeadlock) {
  EXPECT_EQ(Try(kHere, Write(1, {1, 1})), kGranted);
  EXPECT_EQ(Try(kHere, Write(2, {2, 2})), kGranted);
  EXPECT_EQ(Try(kThere, Write(3, {3, 3})), kGranted);
  EXPECT_EQ(Wait(kHere, 1, Write(1, {2, 2})), kWaits);
  EXPECT_EQ(Wait(kHere, 2, Write(2, {3, 3})), kWaits);
  EXPECT_EQ(Wait(kThere, 3, Write(3, {1, 1})), kDeadlock);
  EXPECT_EQ(Wait(kThere, 4, Write(4, {1, 1})), kWaits);  // is no part of it
  table_.Unlock(kThere, Write(3, {3, 3}));
  EXPECT_THAT(Granted(), ElementsAre(2));
}

TEST_F(LockTableTest, Collision_NamesTheHolder) {
  EXPECT_FALSE(table_.Collision(kHere, Write(1)));
  EXPECT_EQ(Try(kHere, Write(1, {5, 9})), kGranted);
  EXPECT_FALSE(table_.Collision(kHere, Write(1)));
  const auto holder = table_.Collision(kThere, Read(1));
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->client, kHere);
  EXPECT_EQ(holder->lock.pid, 100);
  EXPECT_EQ(holder->lock.span.first, 5u);
  EXPECT_EQ(holder->lock.span.last, 9u);
  EXPECT_EQ(holder->lock.mode, LockMode::kExclusive);
}

TEST_F(LockTableTest, PartUnlocked_TheRestIsHeld) {
  EXPECT_EQ(Try(kHere, Write(1, {0, 99})), kGranted);
  EXPECT_EQ(Wait(kThere, 1, Write(1, {40, 59})), kWaits);
  table_.Unlock(kHere, Write(1, {30, 69}));
  EXPECT_THAT(Granted(), ElementsAre(1));
  EXPECT_EQ(Try(kThere, Write(1, {29, 29})), kCollides);
}

}  // namespace
}  // namespace appendfs
