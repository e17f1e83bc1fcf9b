// How a primary confirms a fresh length.
#include "tests/chunkserver/core/sequencer_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

TEST_F(SequencerTest, AskFresh_Confirmed_IsAnswered) {
  Append(1, "hello");
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);
  sequencer_->AskFresh(1, false, now_);
  EXPECT_TRUE(fresh_.empty());
  ASSERT_EQ(rounds_[kSecond].size(), 1u);
  sequencer_->OnConfirm(kSecond, {kHandle, rounds_[kSecond][0], kEpoch, absl::OkStatus()});
  ASSERT_TRUE(fresh_.at(1).ok());
  EXPECT_EQ(fresh_.at(1)->length, 5u);
  EXPECT_GT(fresh_.at(1)->mtime_ns, 0u);
}

TEST_F(SequencerTest, AskFresh_RoundUnderWay_NeedsTheNextOne) {
  sequencer_->AskFresh(1, false, now_);
  sequencer_->AskFresh(2, false, now_);
  sequencer_->AskFresh(3, false, now_);
  ASSERT_EQ(rounds_[kThird].size(), 1u);
  sequencer_->OnConfirm(kThird, {kHandle, rounds_[kThird][0], kEpoch, absl::OkStatus()});
  EXPECT_EQ(fresh_.size(), 1u);
  ASSERT_EQ(rounds_[kThird].size(), 2u);
  // A late answer to the first round confirms nothing.
  sequencer_->OnConfirm(kSecond, {kHandle, rounds_[kThird][0], kEpoch, absl::OkStatus()});
  EXPECT_EQ(fresh_.size(), 1u);
  sequencer_->OnConfirm(kSecond, {kHandle, rounds_[kThird][1], kEpoch, absl::OkStatus()});
  EXPECT_EQ(fresh_.size(), 3u);
}

TEST_F(SequencerTest, AskFresh_ConfirmedByALaterVoteOnly) {
  Append(1, "hello");
  sequencer_->AskFresh(1, false, now_);
  VoteFor(kSecond, 5);  // of a READY sent before the question
  EXPECT_TRUE(fresh_.empty());
  Append(2, "you");
  VoteFor(kSelf, 8);  // the own replica confirms nothing
  EXPECT_TRUE(fresh_.empty());
  VoteFor(kThird, 8);
  ASSERT_TRUE(fresh_.at(1).ok());
  EXPECT_EQ(fresh_.at(1)->length, 8u);
}

TEST_F(SequencerTest, AskFresh_UnknownOrDamagedReplica_ConfirmsNothing) {
  sequencer_->AskFresh(1, false, now_);
  sequencer_->OnConfirm(kSecond, {kHandle, rounds_[kSecond][0], kEpoch,
                                  MakeError(v1::UNKNOWN_CHUNK, "never heard of")});
  EXPECT_TRUE(fresh_.empty());
  sequencer_->Tick(now_ += milliseconds(1100));
  EXPECT_EQ(ReasonOf(fresh_.at(1).status()), v1::QUORUM_LOST);
  sequencer_->AskFresh(2, false, now_);
  EXPECT_EQ(rounds_[kSecond].size(), 2u);
}

// The replica may have promised this epoch by the time it answered the older
// one's question, and its answer be read long after.
TEST_F(SequencerTest, AskFresh_AnswerToAnOlderEpochsQuestion_ConfirmsNothing) {
  sequencer_->AskFresh(1, false, now_);
  Sequencer::Setup next{kHandle, kEpoch.Next(), FileOffset(1000), 100, kSelf};
  next.members = {kSelf, kSecond, kThird};
  Sequencer reopened(std::move(next), Sequencer::Options(), *this);
  reopened.AskFresh(2, false, now_);
  ASSERT_EQ(rounds_[kSecond].size(), 2u);
  reopened.OnConfirm(kSecond, {kHandle, rounds_[kSecond][0], kEpoch.Next(), absl::OkStatus()});
  EXPECT_FALSE(fresh_.contains(2));
  reopened.OnConfirm(kSecond, {kHandle, rounds_[kSecond][1], kEpoch.Next(), absl::OkStatus()});
  EXPECT_TRUE(fresh_.contains(2));
}

TEST_F(SequencerTest, AskFresh_NewerPromise_StopsThePrimary) {
  sequencer_->AskFresh(1, false, now_);
  sequencer_->OnConfirm(kSecond, {kHandle, 1, Epoch(4), absl::OkStatus()});
  EXPECT_EQ(ReasonOf(fresh_.at(1).status()), v1::STALE_EPOCH);
  EXPECT_TRUE(sequencer_->stopped());
}

TEST_F(SequencerTest, AskFresh_ReadableHere_WaitsForTheOwnReplica) {
  Append(1, "hello");
  VoteFor(kSecond, 5);
  VoteFor(kThird, 5);
  sequencer_->AskFresh(1, true, now_);
  sequencer_->OnConfirm(kSecond, {kHandle, rounds_[kSecond][0], kEpoch, absl::OkStatus()});
  EXPECT_TRUE(fresh_.empty());
  VoteFor(kSelf, 5);
  ASSERT_TRUE(fresh_.at(1).ok());
  EXPECT_EQ(fresh_.at(1)->length, 5u);
}

}  // namespace
}  // namespace appendfs
