// What becomes of a chunk that may go on after its recovery: reopened, parked,
// or sealed after all.
#include "tests/master/chunks/recovery_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(RecoveryTest, Keep_AllAnswerAndSomebodyWaits_ReopenedOnceAllHaveOpened) {
  StartToKeep(/*wanted=*/true);
  Begun();
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  EXPECT_TRUE(seals_.empty() && reopens_.empty()) << "the third may answer";
  Answer(kC, Long(10));
  ASSERT_EQ(reopens_.size(), 1u);
  EXPECT_EQ(reopens_[0].length, 10u);
  EXPECT_TRUE(opens_.empty()) << "before it is logged";
  ReopenLogged(kB);
  ASSERT_EQ(opens_.size(), 3u);
  for (const auto& open : opens_) {
    EXPECT_EQ(open.primary, kB);
    EXPECT_EQ(open.epoch, Epoch(2));
    EXPECT_EQ(open.length, 10u);
  }
  Opened(kA);
  Opened(kB);
  EXPECT_FALSE(reopened_);
  Opened(kC);
  EXPECT_TRUE(reopened_);
}

TEST_F(RecoveryTest, Keep_NobodyWaits_Parked) {
  StartToKeep(/*wanted=*/false);
  Begun();
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  Answer(kC, Long(10));
  ASSERT_EQ(parks_.size(), 1u);
  EXPECT_EQ(parks_[0].length, 10u);
  EXPECT_EQ(parks_[0].memory.clients(0).client_id(), 10u);
  recovery_->OnParkLogged(absl::OkStatus(), now_);
  Take();
  EXPECT_TRUE(parked_);
  ASSERT_EQ(opens_.size(), 3u) << "they are told what is committed";
  EXPECT_EQ(opens_[0].primary, ServerId());
}

TEST_F(RecoveryTest, Keep_WantedWhileItRests_Reopened) {
  StartToKeep(/*wanted=*/false);
  Begun();
  Answer(kA, Long(10));
  recovery_->Want(now_);
  Take();
  Answer(kB, Long(10));
  Answer(kC, Long(10));
  EXPECT_TRUE(parks_.empty());
  EXPECT_EQ(reopens_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_ShorterMember_CopiedFirst) {
  StartToKeep(/*wanted=*/true);
  Begun();
  Answer(kA, Long(20));
  Answer(kB, Long(10));
  Answer(kC, Long(20));
  EXPECT_TRUE(reopens_.empty());
  ASSERT_EQ(copies_.size(), 1u);
  EXPECT_EQ(copies_[0].server, kB);
  Conformed(kB);
  ASSERT_EQ(reopens_.size(), 1u);
  EXPECT_EQ(reopens_[0].length, 20u);
}

TEST_F(RecoveryTest, Keep_MemberIsSilent_SealedAfterTheGrace) {
  StartToKeep(/*wanted=*/true);
  Begun();
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  Pass(milliseconds(50));
  EXPECT_TRUE(seals_.empty());
  Pass(milliseconds(20));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_MemberWithoutHeartbeats_NotWaitedFor) {
  Start({{kA, true}, {kB, true}, {kC, true, /*prompt=*/false}}, 1000, true);
  Begun();
  EXPECT_EQ(fences_.size(), 3u);
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_MemberRefusesTheConnection_SealedAtOnce) {
  StartToKeep(/*wanted=*/true);
  Begun();
  Answer(kC, kUnreachable);
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_NobodyWaitsAndAMemberIsDown_FencedOnlyAfterAWhile) {
  Start({{kA, true}, {kB, true}, {kC, false}}, 1000, /*wanted=*/false);
  Pass(milliseconds(1000));
  EXPECT_TRUE(begins_.empty());
  Up(kC);
  EXPECT_EQ(begins_.size(), 1u);
  Begun();
  for (ServerId server : {kA, kB, kC}) Answer(server, Long(10));
  EXPECT_EQ(parks_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_NobodyWaitsAndAMemberStaysAway_Sealed) {
  Start({{kA, true}, {kB, true}, {kC, false}}, 1000, /*wanted=*/false);
  Pass(seconds(2));
  ASSERT_EQ(begins_.size(), 1u);
  Begun();
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_NoRoom_Sealed) {
  StartToKeep(/*wanted=*/true);
  Begun();
  for (ServerId server : {kA, kB}) Answer(server, Long(1001));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_FullAfterAll_Sealed) {
  StartToKeep(/*wanted=*/true);
  Begun();
  Answer(kA, Long(10));
  Answer(kB, Long(10));
  recovery_->MustSeal(now_);
  Take();
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_EmptyAndNobodyWaits_Dropped) {
  StartToKeep(/*wanted=*/false);
  Begun();
  for (ServerId server : {kA, kB, kC}) Answer(server, Long(0));
  EXPECT_TRUE(parks_.empty());
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Keep_OneRebuiltFromNothing_IsNoMemberThatStands) {
  Start({{kA, true}, {kB, true}}, 1000, true);
  Begun();
  Answer(kA, Long(10));
  Answer(kB, kUnknown);
  recovery_->OnTarget(ServerId(), now_);  // nowhere else: in its place
  Take();
  ASSERT_EQ(copies_.size(), 1u);
  Conformed(kB);
  EXPECT_TRUE(reopens_.empty());
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Open_AMemberFails_RecoveredAgainUnderTheNextEpoch) {
  StartToKeep(/*wanted=*/true);
  Begun();
  for (ServerId server : {kA, kB, kC}) Answer(server, Long(10));
  ReopenLogged(kA);
  Opened(kA);
  Opened(kB, kUnreachable);
  EXPECT_FALSE(reopened_);
  ASSERT_EQ(begins_.size(), 2u);
  EXPECT_EQ(begins_[1].epoch, Epoch(3));
  Opened(kC);  // of the older epoch
  EXPECT_FALSE(reopened_);
}

TEST_F(RecoveryTest, Open_PrimaryRestartsMeanwhile_RecoveredAgain) {
  StartToKeep(/*wanted=*/true);
  Begun();
  for (ServerId server : {kA, kB, kC}) Answer(server, Long(10));
  ReopenLogged(kA);
  Opened(kA);
  recovery_->OnServerUp(kA, /*restarted=*/true, now_);
  Take();
  EXPECT_EQ(begins_.size(), 2u);
  EXPECT_FALSE(reopened_);
}

TEST_F(RecoveryTest, Open_InVainTwice_Sealed) {
  StartToKeep(/*wanted=*/true);
  for (int round = 0; round < 2; ++round) {
    Begun();
    for (ServerId server : {kA, kB, kC}) Answer(server, Long(10));
    ReopenLogged(kA);
    Opened(kC, kUnreachable);
    Pass(seconds(1));
  }
  Begun();
  for (ServerId server : {kA, kB, kC}) Answer(server, Long(10));
  EXPECT_EQ(reopens_.size(), 2u);
  EXPECT_EQ(seals_.size(), 1u);
}

}  // namespace
}  // namespace appendfs
