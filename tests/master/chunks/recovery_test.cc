#include "master/chunks/recovery.h"

#include <gtest/gtest.h>

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ServerId kA{1}, kB{2}, kC{3}, kD{4};

// Steps through a recovery by hand. Everything it asks for lands in lists.
class RecoveryTest : public testing::Test {
 protected:
  // Of a chunk that is to be sealed, unless `longest_to_keep` says otherwise.
  void Start(std::vector<ChunkRecovery::MemberInit> members, uint64_t longest_to_keep = 0,
             bool wanted = true) {
    recovery_ = std::make_unique<ChunkRecovery>(
        ChunkRecovery::Setup{members, kA, Epoch(1), longest_to_keep, wanted}, RecoveryOptions{});
    recovery_->Start(now_);
    Take();
  }
  void StartThree() { Start({{kA, true}, {kB, true}, {kC, true}}); }
  void StartToKeep(bool wanted) { Start({{kA, true}, {kB, true}, {kC, true}}, 1000, wanted); }
  void Begun() {
    recovery_->OnBeginLogged(absl::OkStatus(), now_);
    Take();
  }
  static FenceAnswer Long(uint64_t length) {
    FenceAnswer answer;
    answer.durable_length = length;
    answer.crc32c = static_cast<uint32_t>(length * 31 + 7);
    answer.memory.add_clients()->set_client_id(length);
    return answer;
  }
  void Answer(ServerId server, absl::StatusOr<FenceAnswer> answer) {
    recovery_->OnFenceAnswer(server, recovery_->epoch(), std::move(answer), now_);
    Take();
  }
  void Conformed(ServerId server, const absl::Status& status = absl::OkStatus()) {
    recovery_->OnConformAnswer(server, recovery_->epoch(), status, now_);
    Take();
  }
  void ReopenLogged(ServerId primary) {
    recovery_->OnReopenLogged(absl::OkStatus(), primary, now_);
    Take();
  }
  void Opened(ServerId server, const absl::Status& status = absl::OkStatus()) {
    recovery_->OnOpenAnswer(server, Epoch(2), status, now_);
    if (!recovery_->ended()) recovery_->OnOpenAnswer(server, recovery_->epoch(), status, now_);
    Take();
  }
  void Down(ServerId server) {
    recovery_->OnServerDown(server, now_);
    Take();
  }
  void Up(ServerId server) {
    recovery_->OnServerUp(server, /*restarted=*/false, now_);
    Take();
  }
  void Pass(Duration duration) {
    now_ += duration;
    recovery_->OnTick(now_);
    Take();
  }
  void Take() {
    for (ChunkRecovery::Action& action : recovery_->TakeActions()) {
      if (auto* begin = std::get_if<ChunkRecovery::LogBegin>(&action)) begins_.push_back(*begin);
      if (auto* fence = std::get_if<ChunkRecovery::SendFence>(&action)) fences_.push_back(*fence);
      if (auto* copy = std::get_if<ChunkRecovery::SendConform>(&action)) copies_.push_back(*copy);
      if (auto* pick = std::get_if<ChunkRecovery::PickTarget>(&action)) picks_.push_back(*pick);
      if (auto* seal = std::get_if<ChunkRecovery::LogSeal>(&action)) seals_.push_back(*seal);
      if (auto* log = std::get_if<ChunkRecovery::LogReopen>(&action)) reopens_.push_back(*log);
      if (auto* log = std::get_if<ChunkRecovery::LogPark>(&action)) parks_.push_back(*log);
      if (auto* open = std::get_if<ChunkRecovery::SendOpen>(&action)) opens_.push_back(*open);
      if (std::holds_alternative<ChunkRecovery::Reopened>(action)) reopened_ = true;
      if (std::holds_alternative<ChunkRecovery::Parked>(action)) parked_ = true;
      if (auto* end = std::get_if<ChunkRecovery::Sealed>(&action)) sealed_ = *end;
      if (auto* end = std::get_if<ChunkRecovery::Abandoned>(&action)) abandoned_ = end->why;
    }
  }

  Duration now_ = seconds(100);
  std::unique_ptr<ChunkRecovery> recovery_;
  std::vector<ChunkRecovery::LogBegin> begins_;
  std::vector<ChunkRecovery::SendFence> fences_;
  std::vector<ChunkRecovery::SendConform> copies_;
  std::vector<ChunkRecovery::PickTarget> picks_;
  std::vector<ChunkRecovery::LogSeal> seals_;
  std::vector<ChunkRecovery::LogReopen> reopens_;
  std::vector<ChunkRecovery::LogPark> parks_;
  std::vector<ChunkRecovery::SendOpen> opens_;
  bool reopened_ = false, parked_ = false;
  std::optional<ChunkRecovery::Sealed> sealed_;
  absl::Status abandoned_;
};

const absl::Status kUnreachable = MakeError(v1::UNREACHABLE, "gone");
const absl::Status kDamaged = MakeError(v1::REPLICA_DAMAGED, "bad block");
const absl::Status kUnknown = MakeError(v1::UNKNOWN_CHUNK, "never seen");

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

// --- what becomes of a chunk that may go on ------------------------------------

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
