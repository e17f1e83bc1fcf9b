#include "tests/master/chunks/manager_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(ManagerTest, Recovery_PrimaryDead_FreshChunkWithinTensOfMilliseconds) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "acknowledged");
  fleet_.Kill(PrimaryOf(*chunk));
  const Duration asked = time_.Monotonic();
  auto next = OpenTail(inode, &*chunk);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_LT(time_.Monotonic() - asked, milliseconds(60));
  EXPECT_GT(next->handle(), chunk->handle());
  EXPECT_EQ(next->base_offset(), 12u);
  EXPECT_EQ(next->replicas_size(), 2);
  time_.RunFor(seconds(1));
  EXPECT_EQ(SealedCopies(chunk->handle(), "acknowledged"), 2u);
}

TEST_F(ManagerTest, Recovery_PrimaryHangs_FreshChunkWithinASecond) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "acknowledged");
  fleet_[PrimaryOf(*chunk)].health = FakeServer::Health::kHung;
  const Duration hung = time_.Monotonic();
  auto still = OpenTail(inode, &*chunk, v1::TIMED_OUT);
  ASSERT_TRUE(still.ok()) << still.status();
  EXPECT_EQ(still->handle(), chunk->handle()) << "its heartbeats have come so far";
  EXPECT_EQ(still->epoch(), chunk->epoch());
  time_.RunFor(milliseconds(800));
  auto next = OpenTail(inode, &*chunk, v1::TIMED_OUT);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_LT(time_.Monotonic() - hung, milliseconds(900));
  EXPECT_GT(next->handle(), chunk->handle());
}

TEST_F(ManagerTest, Recovery_PrimaryHangsAndReplicasDiffer_LongerStandsAfterTheGrace) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  size_t primary = PrimaryOf(*chunk);
  WriteAll(*chunk, "both");
  Write(*chunk, "+acknowledged", {primary, (primary + 1) % 3});
  fleet_[primary].health = FakeServer::Health::kHung;
  const Duration asked = time_.Monotonic();
  auto next = OpenTail(inode, &*chunk, v1::UNREACHABLE);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_LT(time_.Monotonic() - asked, milliseconds(100));
  EXPECT_EQ(next->base_offset(), 17u);
  time_.RunFor(seconds(1));
  EXPECT_EQ(SealedCopies(chunk->handle(), "both+acknowledged"), 2u);
}

TEST_F(ManagerTest, Recovery_DeadServerNobodyReports_SealedAfterAWhile) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "x");
  fleet_.Kill((PrimaryOf(*chunk) + 1) % 3);
  ASSERT_TRUE(time_.RunUntil([&] { return Status().open_chunks() == 0; }, seconds(4)));
  time_.RunFor(seconds(3));
  EXPECT_EQ(Plan(inode).chunks(0).state(), v1::SEALED);
}

TEST_F(ManagerTest, Recovery_ReplicaLagging_RecoveredAndTheLaggardRepaired) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  size_t primary = PrimaryOf(*chunk), laggard = (primary + 1) % 3, other = (primary + 2) % 3;
  Write(*chunk, "abc", {primary, other});
  v1::ServerEvent event;
  event.set_kind(v1::ServerEvent::REPLICA_LAGGING);
  event.set_handle(chunk->handle());
  event.set_epoch(chunk->epoch());
  event.set_about_server(fleet_[laggard].id);
  fleet_[primary].events.push_back(event);
  time_.RunFor(seconds(4));
  v1::Chunk now = Plan(inode).chunks(0);
  EXPECT_EQ(now.state(), v1::OPEN) << "brought up and reopened";
  EXPECT_EQ(now.epoch(), 2u);
  for (const auto* replica : fleet_.Holders(chunk->handle())) EXPECT_EQ(replica->data, "abc");
  EXPECT_EQ(log_->recoveries, 1);
  fleet_[primary].events.push_back(event);  // late copy
  time_.RunFor(seconds(1));
  EXPECT_EQ(log_->recoveries, 1);
}

TEST_F(ManagerTest, Recovery_ChunkFull_Rolls) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "full");
  v1::ServerEvent event;
  event.set_kind(v1::ServerEvent::CHUNK_IS_FULL);
  event.set_handle(chunk->handle());
  event.set_epoch(chunk->epoch());
  fleet_[PrimaryOf(*chunk)].events.push_back(event);
  auto next = OpenTail(inode, &*chunk, v1::CHUNK_FULL);
  ASSERT_TRUE(next.ok()) << next.status();
  time_.RunFor(seconds(1));
  EXPECT_EQ(log_->recoveries, 1);
  v1::FilePlan plan = Plan(inode);
  ASSERT_EQ(plan.chunks_size(), 2);
  EXPECT_EQ(plan.chunks(0).replicas_size(), 3);
  EXPECT_EQ(plan.chunks(1).handle(), next->handle());
  EXPECT_EQ(SealedCopies(chunk->handle(), "full"), 3u);
}

TEST_F(ManagerTest, Recovery_TwoClientsReportTheSame_OneRecoveryOneNewChunk) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "x");
  auto first = AskTail(inode, &*chunk, v1::NOT_PRIMARY);
  time_.RunFor(milliseconds(2));
  auto second = AskTail(inode, &*chunk, v1::UNREACHABLE);
  time_.RunFor(seconds(1));
  ASSERT_TRUE(first->answer && first->answer->ok());
  ASSERT_TRUE(second->answer && second->answer->ok());
  EXPECT_EQ((*first->answer)->handle(), (*second->answer)->handle());
  EXPECT_EQ((*first->answer)->epoch(), (*second->answer)->epoch());
  auto late = OpenTail(inode, &*chunk);
  EXPECT_EQ(late->handle(), (*first->answer)->handle());
  EXPECT_EQ(late->epoch(), (*first->answer)->epoch());
  EXPECT_EQ(log_->recoveries, 1);
}

TEST_F(ManagerTest, Recovery_NothingWasAppendedAndAServerIsGone_ChunkDroppedAndDeleted) {
  StartCluster(4);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  const size_t primary = PrimaryOf(*chunk);
  fleet_.Kill(primary);
  auto next = OpenTail(inode, &*chunk, v1::NOT_PRIMARY);
  fleet_.Start(primary);
  ASSERT_TRUE(next.ok()) << next.status();
  time_.RunFor(seconds(2));
  EXPECT_EQ(Plan(inode).chunks_size(), 1);
  ASSERT_TRUE(time_.RunUntil([&] { return fleet_.Holders(chunk->handle()).empty(); }, seconds(4)));
  EXPECT_EQ(Status().chunks(), 1u);
}

TEST_F(ManagerTest, Recovery_MasterRestartsInTheMiddle_RecoveredAgain) {
  StartCluster(3);
  for (int steps = 1; steps < 16; ++steps) {
    SCOPED_TRACE(steps);
    InodeId inode = MakeFile(StrCat("f", steps));
    auto chunk = OpenTail(inode);
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    size_t primary = PrimaryOf(*chunk);
    WriteAll(*chunk, "abc");
    Write(*chunk, "def", {primary, (primary + 1) % 3});
    AskTail(inode, &*chunk, v1::NOT_PRIMARY);
    time_.RunFor(milliseconds(steps));
    StopMaster();
    time_.RunFor(milliseconds(300));
    StartMaster();
    auto next = OpenTail(inode, &*chunk, v1::NOT_PRIMARY);
    ASSERT_TRUE(next.ok()) << next.status();
    // Reopened by one of the two, or sealed if a server was slow to register.
    auto stands = [&] {
      size_t same = 0;
      for (const auto* replica : fleet_.Holders(chunk->handle())) same += replica->data == "abcdef";
      return same == 3;
    };
    ASSERT_TRUE(time_.RunUntil(stands, seconds(8)));
    if (next->handle() == chunk->handle()) {
      EXPECT_GT(next->epoch(), chunk->epoch());
    } else {
      EXPECT_EQ(next->base_offset(), 6u);
    }
  }
}

TEST_F(ManagerTest, Recovery_ServersRestartWithMaster_OpenChunksGoOn) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "abc");
  StopMaster();
  for (size_t i = 0; i < 3; ++i) fleet_.Kill(i);
  for (size_t i = 0; i < 3; ++i) fleet_.Start(i);
  StartMaster();
  time_.RunFor(milliseconds(500));
  auto next = OpenTail(inode, &*chunk, v1::NOT_PRIMARY);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->handle(), chunk->handle());
  EXPECT_GT(next->epoch(), chunk->epoch());
}

TEST_F(ManagerTest, Recovery_PrimaryRestarts_Parked) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "abc");
  fleet_.Kill(PrimaryOf(*chunk));
  fleet_.Start(PrimaryOf(*chunk));
  time_.RunFor(seconds(1));
  v1::FilePlan plan = Plan(inode);
  EXPECT_EQ(plan.chunks(0).state(), v1::PARKED);
  EXPECT_EQ(plan.chunks(0).length(), 3u);
}

TEST_F(ManagerTest, Recovery_TwoMembersLost_WaitsAndHealsWhenOneReturns) {
  StartCluster(5);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "abc");
  size_t first = NumberOf(chunk->replicas(0).server_id());
  size_t second = NumberOf(chunk->replicas(1).server_id());
  fleet_.Kill(first);
  fleet_.Kill(second);
  absl::Status status = OpenTail(inode, &*chunk, v1::UNREACHABLE, seconds(3)).status();
  EXPECT_TRUE(HasReason(status, v1::QUORUM_LOST)) << status;
  EXPECT_EQ(Status().recovering_chunks(), 1u);
  EXPECT_EQ(Plan(inode).chunks(0).state(), v1::RECOVERING) << "nothing was guessed";
  auto pending = AskTail(inode, &*chunk);
  fleet_.Start(second);
  ASSERT_TRUE(time_.RunUntil([&] { return pending->answer.has_value(); }, seconds(2)));
  ASSERT_TRUE(pending->answer->ok()) << pending->answer->status();
  EXPECT_EQ((*pending->answer)->base_offset(), 3u);
}

TEST_F(ManagerTest, Recovery_PairLosesOne_CopiedBeforeItIsSealed) {
  StartCluster(2);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  ASSERT_EQ(chunk->replicas_size(), 2);
  WriteAll(*chunk, "abc");
  fleet_.Kill(PrimaryOf(*chunk));
  fleet_.Add();
  auto next = OpenTail(inode, &*chunk);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->base_offset(), 3u);
  time_.RunFor(milliseconds(100));
  EXPECT_EQ(SealedCopies(chunk->handle(), "abc"), 2u);
}

TEST_F(ManagerTest, Recovery_PairAndAThirdServerAppears_RollsOntoThree) {
  StartCluster(2);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "abc");
  time_.RunFor(seconds(20));
  EXPECT_EQ(log_->recoveries, 0);
  fleet_.Add();
  time_.RunFor(seconds(3));
  EXPECT_EQ(log_->recoveries, 1);
  auto next = OpenTail(inode);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->replicas_size(), 3);
  time_.RunFor(seconds(8));
  EXPECT_EQ(SealedCopies(chunk->handle(), "abc"), 3u) << "the old one is repaired";
}

TEST_F(ManagerTest, Recovery_ReplicaLost_ReportWithoutItStartsOne) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "abc");
  size_t loser = (PrimaryOf(*chunk) + 1) % 3;
  fleet_.Kill(loser);
  fleet_[loser].replicas.clear();
  fleet_.Start(loser);
  time_.RunFor(seconds(12));
  EXPECT_EQ(SealedCopies(chunk->handle(), "abc"), 3u);
}

TEST_F(ManagerTest, Recovery_ThousandChunksOfADeadServer_AFewMessagesEach) {
  StartCluster(3);
  std::vector<v1::Chunk> chunks;
  for (int i = 0; i < 1000; ++i) {
    auto chunk = OpenTail(MakeFile(StrCat("f", i)));
    ASSERT_TRUE(chunk.ok());
    WriteAll(*chunk, "x");
    chunks.push_back(*chunk);
  }
  fleet_.Kill(0);
  const Duration killed = time_.Monotonic();
  ASSERT_TRUE(time_.RunUntil([&] { return Status().open_chunks() == 0; }, seconds(4)));
  ASSERT_TRUE(time_.RunUntil([&] { return Status().recovering_chunks() == 0; }, seconds(4)));
  EXPECT_LT(time_.Monotonic() - killed, milliseconds(4200)) << "after waiting for it to return";
}

}  // namespace
}  // namespace appendfs
