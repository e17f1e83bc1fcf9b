// Chunks that go on after a recovery: reopened, parked, or forced to an end.

#include "tests/master/chunks/manager_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ManagerKeepTest : public ManagerTest {
 protected:
  v1::Chunk OpenWith(InodeId inode, const std::string& bytes) {
    auto chunk = OpenTail(inode);
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    WriteAll(*chunk, bytes);
    return *chunk;
  }
  void Tell(const v1::Chunk& chunk, v1::ServerEvent::Kind kind, uint64_t about = 0) {
    v1::ServerEvent event;
    event.set_kind(kind);
    event.set_handle(chunk.handle());
    event.set_epoch(chunk.epoch());
    event.set_about_server(about);
    fleet_[PrimaryOf(chunk)].events.push_back(event);
  }
  v1::Chunk Park(InodeId inode, const std::string& bytes) {
    v1::Chunk chunk = OpenWith(inode, bytes);
    Tell(chunk, v1::ServerEvent::CHUNK_IS_IDLE);
    EXPECT_TRUE(time_.RunUntil([&] { return Status().parked_chunks() == 1; }, seconds(2)));
    return Plan(inode).chunks(0);
  }
  FakeServer::Replica& On(size_t number, const v1::Chunk& chunk) {
    return fleet_[number].replicas.at(chunk.handle());
  }
};

TEST_F(ManagerKeepTest, Reopen_PrimaryResigned_SameChunkNextEpochAnotherPrimary) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  auto next = OpenTail(inode, &chunk, v1::NOT_PRIMARY);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->handle(), chunk.handle());
  EXPECT_EQ(next->epoch(), 2u);
  EXPECT_EQ(next->state(), v1::OPEN);
  EXPECT_EQ(next->replicas_size(), 3);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(On(i, chunk).primary, fleet_[i].id == next->primary_id());
    EXPECT_EQ(On(i, chunk).committed, 3u);
    EXPECT_EQ(fleet_[i].opens, 1);
  }
  time_.RunFor(seconds(5));
  EXPECT_EQ(log_->recoveries, 1) << "and so it stays";
}

TEST_F(ManagerKeepTest, Reopen_MemberRefusesToOpen_RecoveredAgainThenSealed) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  fleet_[(PrimaryOf(chunk) + 1) % 3].refuse_opens = true;
  auto next = OpenTail(inode, &chunk, v1::NOT_PRIMARY);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_GT(next->handle(), chunk.handle());
  EXPECT_EQ(next->base_offset(), 3u);
  EXPECT_EQ(log_->recoveries, 3);
}

TEST_F(ManagerKeepTest, Reopen_FileIsFull_Sealed) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  auto next = OpenTail(inode, &chunk, v1::CHUNK_FULL);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_GT(next->handle(), chunk.handle());
}

TEST_F(ManagerKeepTest, Reopen_AgainAndAgainAtAClientsWord_EverMoreSlowly) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  const Duration began = time_.Monotonic();
  for (int i = 0; i < 3; ++i) chunk = *OpenTail(inode, &chunk, v1::NOT_PRIMARY);
  EXPECT_LT(time_.Monotonic() - began, milliseconds(200));
  for (int i = 0; i < 3; ++i) chunk = *OpenTail(inode, &chunk, v1::NOT_PRIMARY);
  EXPECT_GT(time_.Monotonic() - began, milliseconds(1500));
  EXPECT_EQ(chunk.epoch(), 7u);
}

TEST_F(ManagerKeepTest, Reopen_MasterRestartsInTheMiddle_OneGoesOn) {
  StartCluster(3);
  for (int steps = 1; steps < 16; ++steps) {
    SCOPED_TRACE(steps);
    InodeId inode = MakeFile(StrCat("f", steps));
    v1::Chunk chunk = OpenWith(inode, "abc");
    AskTail(inode, &chunk, v1::NOT_PRIMARY);
    time_.RunFor(milliseconds(steps));
    StopMaster();
    time_.RunFor(milliseconds(50));
    StartMaster();
    time_.RunFor(milliseconds(500));
    auto next = OpenTail(inode, &chunk, v1::NOT_PRIMARY);
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(next->handle(), chunk.handle());
    time_.RunFor(seconds(2));
    size_t primaries = 0;
    for (size_t i = 0; i < 3; ++i) primaries += On(i, chunk).primary;
    auto last = OpenTail(inode);
    ASSERT_TRUE(last.ok()) << last.status();
    EXPECT_TRUE(On(PrimaryOf(*last), chunk).primary) << primaries;
  }
}

TEST_F(ManagerKeepTest, Park_Idle_LengthIsInThePlanAndTheNextAppendReopensIt) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk parked = Park(inode, "abc");
  EXPECT_EQ(parked.state(), v1::PARKED);
  EXPECT_EQ(parked.length(), 3u);
  EXPECT_EQ(parked.primary_id(), 0u);
  EXPECT_EQ(parked.replicas_size(), 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_FALSE(On(i, parked).primary);

  auto next = OpenTail(inode);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->handle(), parked.handle());
  EXPECT_EQ(next->epoch(), parked.epoch() + 1);
  EXPECT_EQ(Status().parked_chunks(), 0u);
  EXPECT_TRUE(On(PrimaryOf(*next), parked).primary);
}

TEST_F(ManagerKeepTest, Park_WhileItIsFenced_AnAppendComes_Reopened) {
  StartCluster(3);
  for (int steps = 1; steps < 12; ++steps) {
    SCOPED_TRACE(steps);
    InodeId inode = MakeFile(StrCat("f", steps));
    v1::Chunk chunk = OpenWith(inode, "abc");
    const int before = log_->recoveries;
    Tell(chunk, v1::ServerEvent::CHUNK_IS_IDLE);
    ASSERT_TRUE(time_.RunUntil([&] { return log_->recoveries > before; }, seconds(1)));
    time_.RunFor(milliseconds(steps));
    auto next = OpenTail(inode, &chunk, v1::STALE_EPOCH);
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(next->handle(), chunk.handle());
    EXPECT_GT(next->epoch(), chunk.epoch());
  }
}

TEST_F(ManagerKeepTest, Park_EverythingRestarts_StaysParkedWithoutRecovery) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk parked = Park(inode, "abc");
  StopMaster();
  for (size_t i = 0; i < 3; ++i) fleet_.Kill(i);
  time_.RunFor(seconds(30));
  for (size_t i = 0; i < 3; ++i) fleet_.Start(i);
  StartMaster();
  EXPECT_EQ(Plan(inode).chunks(0).length(), 3u) << "also before anybody has reported";
  time_.RunFor(seconds(20));
  EXPECT_EQ(Plan(inode).chunks(0).state(), v1::PARKED);
  EXPECT_EQ(log_->recoveries, 0);
  auto next = OpenTail(inode);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->handle(), parked.handle());
}

TEST_F(ManagerKeepTest, Park_MemberGoneAndAnAppendComes_SealedAndAFreshChunk) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk parked = Park(inode, "abc");
  fleet_.Kill(1);
  time_.RunFor(seconds(4));
  EXPECT_EQ(Plan(inode).chunks(0).state(), v1::PARKED);
  auto next = OpenTail(inode);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_GT(next->handle(), parked.handle());
  EXPECT_EQ(next->base_offset(), 3u);
  fleet_.Start(1);
  ASSERT_TRUE(
      time_.RunUntil([&] { return SealedCopies(parked.handle(), "abc") == 3; }, seconds(10)));
}

TEST_F(ManagerKeepTest, Park_MemberGoneForGood_SealedAndRepairedElsewhere) {
  StartCluster(4);
  InodeId inode = MakeFile("a");
  v1::Chunk parked = Park(inode, "abc");
  fleet_.Kill(NumberOf(parked.replicas(0).server_id()));
  ASSERT_TRUE(
      time_.RunUntil([&] { return SealedCopies(parked.handle(), "abc") == 3; }, seconds(20)));
  EXPECT_EQ(Plan(inode).chunks(0).state(), v1::SEALED);
}

TEST_F(ManagerKeepTest, Park_StaleMemberReturns_SealedAndConformed) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk parked = Park(inode, "abc");
  fleet_.Kill(2);
  On(2, parked).data = "a";  // its disk was restored from an older copy
  On(2, parked).epoch = Epoch(1);
  fleet_.Start(2);
  ASSERT_TRUE(
      time_.RunUntil([&] { return SealedCopies(parked.handle(), "abc") == 3; }, seconds(20)));
}

TEST_F(ManagerKeepTest, Restart_HundredsOfOpenChunks_AFewMessagesAndAllParked) {
  StartCluster(3);
  constexpr int kChunks = 400;
  for (int i = 0; i < kChunks; ++i) OpenWith(MakeFile(StrCat("f", i)), "x");
  int before = 0;
  for (size_t i = 0; i < 3; ++i) before += fleet_[i].calls;
  fleet_.Kill(0);
  fleet_.Start(0);
  ASSERT_TRUE(time_.RunUntil(
      [&] { return Status().open_chunks() == 0 || Status().parked_chunks() > 0; }, seconds(4)));
  ASSERT_TRUE(time_.RunUntil([&] { return Status().recovering_chunks() == 0; }, seconds(4)));
  int after = 0;
  for (size_t i = 0; i < 3; ++i) after += fleet_[i].calls;
  EXPECT_GT(Status().parked_chunks(), kChunks / 4u) << "those it was primary of";
  EXPECT_EQ(Status().parked_chunks() + Status().open_chunks(), static_cast<uint64_t>(kChunks));
  EXPECT_LT(after - before, 40) << "not one for each";
}

TEST_F(ManagerKeepTest, Restart_OfHungServers_WhatTheyWereToldIsToldAgainAtOnce) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  for (size_t i = 0; i < 2; ++i) fleet_[i].health = FakeServer::Health::kHung;
  auto pending = AskTail(inode, &chunk, v1::UNREACHABLE);
  time_.RunFor(milliseconds(100));
  for (size_t i = 0; i < 2; ++i) {
    fleet_.Kill(i);
    fleet_.Start(i);
  }
  ASSERT_TRUE(time_.RunUntil([&] { return pending->answer.has_value(); }, milliseconds(800)))
      << "a call that nobody will answer was waited for";
  EXPECT_TRUE(pending->answer->ok()) << pending->answer->status();
}

TEST_F(ManagerKeepTest, ForceSeal_NothingWaits_Refused) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  EXPECT_TRUE(HasReason(Force(chunk.handle(), true).status(), v1::INVALID));
  EXPECT_TRUE(HasReason(Force(999, true).status(), v1::INVALID));
}

TEST_F(ManagerKeepTest, ForceSeal_TwoOfThreeGone_OnlyWithTheWord) {
  StartCluster(5);
  InodeId inode = MakeFile("a");
  v1::Chunk chunk = OpenWith(inode, "abc");
  const size_t first = NumberOf(chunk.replicas(0).server_id());
  const size_t second = NumberOf(chunk.replicas(1).server_id());
  fleet_.Kill(first);
  fleet_.Kill(second);
  EXPECT_FALSE(OpenTail(inode, &chunk, v1::UNREACHABLE, seconds(4)).ok());
  auto warned = Force(chunk.handle(), false);
  ASSERT_TRUE(warned.ok()) << warned.status();
  EXPECT_FALSE(warned->sealed());
  EXPECT_EQ(warned->missing_size(), 2);
  EXPECT_EQ(warned->answering_size(), 1);
  EXPECT_NE(warned->warning().find("LOST"), std::string::npos) << warned->warning();
  EXPECT_EQ(Plan(inode).chunks(0).state(), v1::RECOVERING);

  auto done = Force(chunk.handle(), true);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_TRUE(done->sealed());
  EXPECT_EQ(done->length(), 3u);
  auto next = OpenTail(inode);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->base_offset(), 3u);
  ASSERT_TRUE(
      time_.RunUntil([&] { return SealedCopies(chunk.handle(), "abc") == 3; }, seconds(20)));
}

}  // namespace
}  // namespace appendfs
