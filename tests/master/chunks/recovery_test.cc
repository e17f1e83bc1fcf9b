#include "tests/master/chunks/recovery_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(RecoveryTest, Start_EpochIsLoggedBeforeAnyFence) {
  StartThree();
  ASSERT_EQ(begins_.size(), 1u);
  EXPECT_EQ(begins_[0].epoch, Epoch(2));
  EXPECT_TRUE(fences_.empty());
  Begun();
  EXPECT_EQ(fences_.size(), 3u);
}

TEST_F(RecoveryTest, Start_TooFewMembersUp_WaitsWithoutSpendingAnEpoch) {
  Start({{kA, false}, {kB, true}, {kC, false}});
  Pass(seconds(10));
  EXPECT_TRUE(begins_.empty());
  Up(kC);
  EXPECT_EQ(begins_.size(), 1u);
}

TEST_F(RecoveryTest, Fence_TwoOfThreeAgree_SealedAtOnce) {
  StartThree();
  Begun();
  Answer(kB, Long(10));
  EXPECT_TRUE(seals_.empty());
  Answer(kC, Long(10));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 10u);
  EXPECT_EQ(seals_[0].crc32c, Long(10).crc32c);
  EXPECT_EQ(seals_[0].memory.clients(0).client_id(), 10u);
  recovery_->OnSealLogged(absl::OkStatus(), now_);
  Take();
  ASSERT_TRUE(sealed_);
  EXPECT_EQ(sealed_->holders, (std::vector<ServerId>{kB, kC}));
  EXPECT_EQ(sealed_->strays, std::vector<ServerId>{kA});
}

TEST_F(RecoveryTest, Fence_LengthsDiffer_WaitsTheGraceForTheThirdThenCopiesToTheShorter) {
  StartThree();
  Begun();
  Answer(kB, Long(10));
  Answer(kC, Long(20));
  Pass(milliseconds(50));
  EXPECT_TRUE(copies_.empty());
  Pass(milliseconds(20));
  ASSERT_EQ(copies_.size(), 1u);
  EXPECT_EQ(copies_[0].server, kB);
  EXPECT_EQ(copies_[0].length, 20u);
  EXPECT_EQ(copies_[0].sources, std::vector<ServerId>{kC});
  EXPECT_TRUE(seals_.empty());
  Conformed(kB);
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 20u);
}

TEST_F(RecoveryTest, Fence_ThirdAnswersInTheGrace_NoCopy) {
  StartThree();
  Begun();
  Answer(kB, Long(10));
  Answer(kC, Long(20));
  Answer(kA, Long(20));
  EXPECT_TRUE(copies_.empty());
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 20u);
}

TEST_F(RecoveryTest, Fence_ThirdIsKnownUnreachable_NoGrace) {
  StartThree();
  Begun();
  Answer(kA, kUnreachable);
  Answer(kB, Long(10));
  Answer(kC, Long(20));
  EXPECT_EQ(copies_.size(), 1u);
}

TEST_F(RecoveryTest, Fence_DamagedAndUnknown_AreNoAnswers) {
  StartThree();
  Begun();
  Answer(kA, kDamaged);
  Answer(kB, Long(5));
  Answer(kC, kUnknown);
  Pass(seconds(60));
  EXPECT_TRUE(seals_.empty());
  EXPECT_TRUE(copies_.empty());
}

TEST_F(RecoveryTest, Fence_OneDamaged_TheOtherTwoDecide) {
  StartThree();
  Begun();
  Answer(kA, kDamaged);
  Answer(kB, Long(5));
  Answer(kC, Long(5));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Fence_FailedOnes_AreAskedAgain) {
  StartThree();
  Begun();
  Answer(kA, kUnreachable);
  Answer(kB, kUnreachable);
  Answer(kC, Long(5));
  fences_.clear();
  Pass(milliseconds(100));
  EXPECT_TRUE(fences_.empty());
  Pass(milliseconds(150));
  EXPECT_EQ(fences_.size(), 2u);
  Answer(kA, Long(5));
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Fence_AnswerOfAnOlderEpoch_Ignored) {
  StartThree();
  Begun();
  recovery_->OnFenceAnswer(kA, Epoch(1), Long(99), now_);
  Answer(kB, Long(5));
  EXPECT_TRUE(seals_.empty());
}

TEST_F(RecoveryTest, Fence_SameAnswerTwice_CountsOnce) {
  StartThree();
  Begun();
  Answer(kB, Long(5));
  Answer(kB, Long(5));
  Pass(seconds(1));
  EXPECT_TRUE(seals_.empty());
}

TEST_F(RecoveryTest, Fence_NothingAppended_SealedEmptyWithoutCopies) {
  Start({{kA, false}, {kB, true}});
  Begun();
  Answer(kB, Long(0));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 0u);
  EXPECT_EQ(seals_[0].crc32c, 0u);
}

TEST_F(RecoveryTest, Fence_SameLengthOtherBytes_NotCountedAsHolder) {
  StartThree();
  Begun();
  FenceAnswer lie = Long(10);
  lie.crc32c ^= 1;
  Answer(kB, lie);
  Answer(kC, Long(10));
  EXPECT_TRUE(seals_.empty());
  Answer(kA, Long(10));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].crc32c, Long(10).crc32c);
}

TEST_F(RecoveryTest, Pair_LoneSurvivor_CopiedToAnotherServerFirst) {
  Start({{kA, false}, {kB, true}});
  Begun();
  Answer(kB, Long(10));
  EXPECT_TRUE(seals_.empty());
  ASSERT_EQ(picks_.size(), 1u);
  EXPECT_EQ(picks_[0].exclude, (std::vector<ServerId>{kA, kB}));
  recovery_->OnTarget(kD, now_);
  Take();
  ASSERT_EQ(copies_.size(), 1u);
  EXPECT_EQ(copies_[0].server, kD);
  Conformed(kD);
  ASSERT_EQ(seals_.size(), 1u);
  recovery_->OnSealLogged(absl::OkStatus(), now_);
  Take();
  EXPECT_EQ(sealed_->holders, (std::vector<ServerId>{kB, kD}));
}

TEST_F(RecoveryTest, Pair_NoOtherServer_AsksAgainAndTakesTheReturningMember) {
  Start({{kA, false}, {kB, true}});
  Begun();
  Answer(kB, Long(10));
  recovery_->OnTarget(ServerId(), now_);
  Take();
  EXPECT_EQ(picks_.size(), 1u);
  Pass(milliseconds(250));
  EXPECT_EQ(picks_.size(), 2u);
  Up(kA);
  EXPECT_EQ(fences_.back().server, kA);
  Answer(kA, Long(3));
  ASSERT_EQ(copies_.size(), 1u);
  EXPECT_EQ(copies_[0].server, kA);
  Conformed(kA);
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Pair_DamagedMemberAndNoOtherServer_RebuiltInPlace) {
  Start({{kA, true}, {kB, true}});
  Begun();
  Answer(kA, kDamaged);
  Answer(kB, Long(10));
  ASSERT_EQ(picks_.size(), 1u);
  recovery_->OnTarget(ServerId(), now_);
  Take();
  ASSERT_EQ(copies_.size(), 1u);
  EXPECT_EQ(copies_[0].server, kA);
}

TEST_F(RecoveryTest, Copy_TargetFails_AnotherIsPicked) {
  Start({{kA, false}, {kB, true}});
  Begun();
  Answer(kB, Long(10));
  recovery_->OnTarget(kC, now_);
  Take();
  Conformed(kC, kUnreachable);
  ASSERT_EQ(picks_.size(), 2u);
  EXPECT_EQ(picks_[1].exclude, (std::vector<ServerId>{kA, kB, kC}));
  recovery_->OnTarget(kD, now_);
  Take();
  Conformed(kD);
  EXPECT_EQ(seals_.size(), 1u);
}

TEST_F(RecoveryTest, Copy_TheOnlySourceDies_BeginsAgainWithANewEpoch) {
  StartThree();
  Begun();
  Answer(kA, kUnreachable);
  Answer(kB, Long(10));
  Answer(kC, Long(20));
  ASSERT_EQ(copies_.size(), 1u);
  Down(kC);
  ASSERT_EQ(begins_.size(), 2u);
  EXPECT_EQ(begins_[1].epoch, Epoch(3));
  // A late answer of the older epoch changes nothing.
  recovery_->OnConformAnswer(kB, Epoch(2), absl::OkStatus(), now_);
  Begun();
  Answer(kB, Long(20));
  EXPECT_TRUE(seals_.empty());
  Answer(kA, Long(20));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].epoch, Epoch(3));
}

TEST_F(RecoveryTest, Copy_SourceTurnsOutDamaged_EverybodyIsAskedAnew) {
  StartThree();
  Begun();
  Answer(kA, Long(10));
  Answer(kB, Long(20));
  Answer(kC, kUnreachable);
  for (int i = 0; i < 40 && begins_.size() == 1; ++i) {
    if (!copies_.empty()) Conformed(copies_.back().server, kUnreachable);
    recovery_->OnTarget(ServerId(), now_);
    Pass(milliseconds(200));
  }
  ASSERT_EQ(begins_.size(), 2u);
  Begun();
  Answer(kB, kDamaged);
  Answer(kA, Long(10));
  Answer(kC, Long(10));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 10u);
}

TEST_F(RecoveryTest, Fence_LongestAnswererDies_TheOtherTwoAreEnough) {
  StartThree();
  Begun();
  Answer(kC, Long(30));
  Down(kC);
  Answer(kA, Long(20));
  EXPECT_TRUE(seals_.empty());
  Answer(kB, Long(20));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 20u);
}

TEST_F(RecoveryTest, Seal_LogRefuses_Abandoned) {
  StartThree();
  Begun();
  Answer(kB, Long(10));
  Answer(kC, Long(10));
  recovery_->OnSealLogged(kUnknown, now_);
  Take();
  EXPECT_TRUE(HasReason(abandoned_, v1::UNKNOWN_CHUNK));
  EXPECT_TRUE(recovery_->ended());
}

TEST_F(RecoveryTest, Begin_LogRefuses_Abandoned) {
  StartThree();
  recovery_->OnBeginLogged(kUnknown, now_);
  Take();
  EXPECT_FALSE(abandoned_.ok());
}

TEST_F(RecoveryTest, Fence_ReplicaSealedAlready_ItsLengthStands) {
  StartThree();
  Begun();
  FenceAnswer sealed = Long(10);
  sealed.sealed = true;
  Answer(kB, sealed);
  Answer(kC, Long(20));
  Answer(kA, Long(10));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 10u);
}

TEST_F(RecoveryTest, StartOver_AgainAndAgain_EverMoreSlowly) {
  StartThree();
  Duration last = now_;
  std::vector<Duration> gaps;
  for (int round = 0; round < 12; ++round) {
    const size_t before = begins_.size();
    Begun();
    Answer(kB, Long(10));
    Answer(kC, Long(20));
    Answer(kA, kUnreachable);
    Down(kC);  // the only one that has it
    for (int i = 0; i < 100000 && begins_.size() == before; ++i) Pass(milliseconds(10));
    gaps.push_back(now_ - last);
    last = now_;
    recovery_->OnServerUp(kC, false, now_);
    Take();
  }
  EXPECT_LT(gaps[0], milliseconds(100));
  EXPECT_GE(gaps.back(), seconds(20));
  EXPECT_LE(gaps.back(), seconds(31));
}

TEST_F(RecoveryTest, Force_OneAnswer_SealedWithWhatItHolds) {
  Start({{kA, false}, {kB, true}, {kC, false}}, 1000);
  Pass(seconds(60));
  EXPECT_TRUE(begins_.empty()) << "never by itself";
  recovery_->Force(now_);
  Take();
  ASSERT_EQ(begins_.size(), 1u);
  Begun();
  Answer(kB, Long(10));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_TRUE(seals_[0].forced);
  EXPECT_EQ(seals_[0].length, 10u);
  EXPECT_EQ(seals_[0].answered, std::vector<ServerId>{kB});
  EXPECT_EQ(seals_[0].missing, (std::vector<ServerId>{kA, kC}));
}

TEST_F(RecoveryTest, Force_NoAnswerAtAll_SealedEmpty) {
  Start({{kA, false}, {kB, false}, {kC, false}}, 1000);
  recovery_->Force(now_);
  Take();
  Begun();
  Pass(seconds(1));
  ASSERT_EQ(seals_.size(), 1u);
  EXPECT_EQ(seals_[0].length, 0u);
}

}  // namespace
}  // namespace appendfs
