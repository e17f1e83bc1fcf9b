#include "master/sessions/watch_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr InodeId kX(7), kY(8);

class WatchTableTest : public ::testing::Test {
 protected:
  WatchTable::Watcher Join() {
    const WatchTable::Watcher watcher = table_.Join();
    EXPECT_TRUE(table_.Renew(watcher, now_));
    return watcher;
  }
  // Makes a change; whom it tells.
  std::vector<WatchTable::Telling> Change(int name, const std::vector<InodeId>& inodes,
                                          WatchTable::Watcher except = 0) {
    WatchTable::Begun begun =
        table_.Change(inodes, except, now_, [this, name] { answered_.insert(name); });
    Run(std::move(begun.done));
    return begun.tell;
  }
  void Heard(WatchTable::Watcher watcher, uint64_t number) {
    Run(table_.Heard(watcher, number, now_));
  }
  void Expire() { Run(table_.Expire(now_)); }
  static void Run(std::vector<WatchTable::Done> done) {
    for (auto& each : done) std::move(each)();
  }

  Duration now_ = milliseconds(10'000);
  WatchTable table_{milliseconds(1000), Duration::zero()};
  std::set<int> answered_;
};

TEST_F(WatchTableTest, Change_ThatNobodyWatches_IsAnsweredAtOnce) {
  const auto a = Join();
  table_.Watch(a, kY);
  EXPECT_THAT(Change(1, {kX}), IsEmpty());
  EXPECT_THAT(answered_, ElementsAre(1));
}

TEST_F(WatchTableTest, Change_WaitsForThoseWhoWatch) {
  const auto a = Join(), b = Join(), c = Join();
  for (auto watcher : {a, b, c}) table_.Watch(watcher, kX);
  const auto told = Change(1, {kX, kY}, /*except=*/c);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[0].inodes, ElementsAre(kX));
  EXPECT_THAT(answered_, IsEmpty());
  Heard(a, told[0].number);
  EXPECT_THAT(answered_, IsEmpty());
  Heard(b, told[1].number);
  EXPECT_THAT(answered_, ElementsAre(1));
  // Not watched any more, but for who made it.
  EXPECT_EQ(Change(2, {kX}).size(), 1u);
}

TEST_F(WatchTableTest, SecondChange_BeforeTheFirstWasHeard_WaitsToo) {
  const auto a = Join();
  table_.Watch(a, kX);
  const auto told = Change(1, {kX});
  EXPECT_THAT(Change(2, {kX}), IsEmpty());
  EXPECT_THAT(answered_, IsEmpty());
  Heard(a, told[0].number);
  EXPECT_THAT(answered_, UnorderedElementsAre(1, 2));
}

TEST_F(WatchTableTest, SilentWatcher_HoldsUpForItsLeaseAtMost) {
  const auto a = Join();
  table_.Watch(a, kX);
  now_ += milliseconds(300);
  Change(1, {kX});
  EXPECT_EQ(table_.NextDue(), milliseconds(11'000));
  now_ += milliseconds(600);
  EXPECT_FALSE(table_.Renew(a, now_));  // it would go on believing
  Expire();
  EXPECT_THAT(answered_, IsEmpty());
  now_ = milliseconds(11'000);
  Expire();
  EXPECT_THAT(answered_, ElementsAre(1));
  EXPECT_EQ(table_.NextDue(), Duration::max());
  EXPECT_TRUE(table_.Renew(a, now_));  // by then it has heard
}

TEST_F(WatchTableTest, WatcherThatBelievesNothing_IsToldButNotWaitedFor) {
  const auto a = Join();
  table_.Watch(a, kX);
  now_ += milliseconds(1000);
  EXPECT_EQ(Change(1, {kX}).size(), 1u);
  EXPECT_THAT(answered_, ElementsAre(1));
  EXPECT_TRUE(table_.Renew(a, now_));
}

TEST_F(WatchTableTest, WatcherThatIsGone_BelievesForTheRestOfItsLease) {
  const auto a = Join();
  table_.Watch(a, kX);
  table_.Leave(a);
  EXPECT_THAT(Change(1, {kX}), IsEmpty());
  EXPECT_THAT(answered_, IsEmpty());
  EXPECT_FALSE(table_.Renew(a, now_));
  now_ = table_.NextDue();
  Expire();
  EXPECT_THAT(answered_, ElementsAre(1));
  EXPECT_EQ(table_.links(), 0u);
  EXPECT_EQ(table_.watched_inodes(), 0u);
}

TEST_F(WatchTableTest, AfterARestart_EarlierLeasesAreWaitedFor) {
  WatchTable table(milliseconds(1000), now_ + milliseconds(1000));
  Run(table.Change({kX}, 0, now_, [this] { answered_.insert(1); }).done);
  EXPECT_THAT(answered_, IsEmpty());
  EXPECT_EQ(table.NextDue(), milliseconds(11'000));
  now_ += milliseconds(1000);
  Run(table.Expire(now_));
  EXPECT_THAT(answered_, ElementsAre(1));
  Run(table.Change({kX}, 0, now_, [this] { answered_.insert(2); }).done);
  EXPECT_THAT(answered_, UnorderedElementsAre(1, 2));
}

TEST_F(WatchTableTest, TooMuchWatched_AllOfItIsGivenUp_AndStillWaitedFor) {
  const auto a = Join();
  for (uint64_t inode = 1; inode <= WatchTable::kMostWatched; ++inode)
    EXPECT_FALSE(table_.Watch(a, InodeId(inode)).has_value());
  const auto all = table_.Watch(a, InodeId(WatchTable::kMostWatched + 1));
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->inodes.size(), WatchTable::kMostWatched);
  EXPECT_THAT(Change(1, {kX}), IsEmpty());
  EXPECT_THAT(answered_, IsEmpty());
  Heard(a, all->number);
  EXPECT_THAT(answered_, ElementsAre(1));
}

}  // namespace
}  // namespace appendfs
