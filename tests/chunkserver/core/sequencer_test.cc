#include "tests/chunkserver/core/sequencer_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(SequencerTest, Append_Accepted_GoesToAllMembersAtTheNextOffset) {
  Append(1, "hello");
  Append(2, "you");
  for (ServerId member : {kSelf, kSecond, kThird}) {
    ASSERT_EQ(ready_[member].size(), 2u);
    EXPECT_EQ(ready_[member][0].offset, 0u);
    EXPECT_EQ(ready_[member][1].offset, 5u);
    EXPECT_EQ(ready_[member][1].payload.view(), "you");
  }
  EXPECT_TRUE(outcomes_.empty());
}

TEST_F(SequencerTest, Append_ThreeKeepUp_TheSlowerOnesBatchesGather) {
  Append(1, "hello");
  EXPECT_FALSE(gathers_[kSelf]);
  EXPECT_TRUE(gathers_[kSecond]);
  EXPECT_FALSE(gathers_[kThird]);
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);  // though it was told later
  Append(2, "you");
  EXPECT_FALSE(gathers_[kSecond]);
  EXPECT_TRUE(gathers_[kThird]);
}

TEST_F(SequencerTest, Append_Large_NeverGathers) {
  Start({kSelf, kSecond, kThird}, 1 << 20);
  Fill(1, 64 << 10);
  EXPECT_FALSE(gathers_[kSecond]);
}

TEST_F(SequencerTest, Append_EveryVoteNeeded_NeverGathers) {
  Start({kSelf, kSecond}, 1000);
  Append(1, "hello");
  EXPECT_FALSE(gathers_[kSecond]);
  Start({kSelf, kSecond, kThird}, 1000);
  sequencer_->OnPeerBroken(kThird);
  Append(1, "hello");
  EXPECT_FALSE(gathers_[kSecond]);
}

TEST_F(SequencerTest, Vote_OfOneOnly_DoesNotCommit) {
  Append(1, "hello");
  VoteFor(kSelf, 5);
  VoteFor(kSelf, 5);
  EXPECT_TRUE(outcomes_.empty());
  EXPECT_EQ(sequencer_->committed_length(), 0u);
}

TEST_F(SequencerTest, Vote_OfTwo_CommitsAndAnswersInOrder) {
  Append(1, "hello");
  Append(2, "you");
  VoteFor(kThird, 8);
  VoteFor(kSecond, 5);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(outcomes_[0].first, kStream);
  EXPECT_EQ(outcomes_[0].second.sequence, Sequence(1));
  EXPECT_EQ(outcomes_[0].second.offset, FileOffset(5000));
  EXPECT_EQ(outcomes_[0].second.released_bytes, 5u);
  VoteFor(kSelf, 8);
  ASSERT_EQ(outcomes_.size(), 2u);
  EXPECT_EQ(outcomes_[1].second.offset, FileOffset(5005));
  EXPECT_GT(outcomes_[1].second.mtime_ns, outcomes_[0].second.mtime_ns);
  for (ServerId member : {kSelf, kSecond, kThird}) EXPECT_EQ(commits_[member], 8u);
}

TEST_F(SequencerTest, Vote_TwoMembers_NeedsBoth) {
  Start({kSelf, kSecond}, 1000);
  Append(1, "hello");
  VoteFor(kSelf, 5);
  EXPECT_TRUE(outcomes_.empty());
  VoteFor(kSecond, 5);
  EXPECT_EQ(outcomes_.size(), 1u);
}

TEST_F(SequencerTest, Vote_OfOtherEpochOrStrangerOrBeyondTheEnd_IsIgnored) {
  Append(1, "hello");
  VoteFor(kSelf, 5);
  sequencer_->OnVote(kSecond, {kHandle, Epoch(2), 5, absl::OkStatus()}, now_);
  VoteFor(ServerId(9), 5);
  VoteFor(kSecond, 6);
  EXPECT_TRUE(outcomes_.empty());
}

TEST_F(SequencerTest, Duplicate_Committed_IsAnsweredWithTheSameOffset) {
  Append(1, "hello");
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);
  Append(2, "you");
  Append(1, "hello");
  ASSERT_EQ(outcomes_.size(), 2u);
  EXPECT_TRUE(outcomes_[1].second.status.ok());
  EXPECT_EQ(outcomes_[1].second.offset, FileOffset(5000));
  EXPECT_EQ(ready_[kSelf].size(), 2u);
}

TEST_F(SequencerTest, Duplicate_NotCommitted_WaitsAndAnswersTheLastStream) {
  Append(1, "hello");
  ClientBatch again = Batch(1, "hello", 0);
  again.stream = kOtherStream;
  Append(again);
  EXPECT_TRUE(outcomes_.empty());
  EXPECT_EQ(released_[kStream], 5u);
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(outcomes_[0].first, kOtherStream);
}

TEST_F(SequencerTest, Duplicate_OnTheSameStream_ReleasesBothShares) {
  Append(1, "hello");
  Append(1, "hello");
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(outcomes_[0].second.released_bytes, 10u);
}

TEST_F(SequencerTest, Duplicate_RecutToOtherLength_IsInvalid) {
  Append(1, "hello");
  Append(1, "hello, you");
  EXPECT_EQ(LastReason(), v1::INVALID);
}

TEST_F(SequencerTest, Duplicate_HandedOnFromThePreviousChunk_IsAnswered) {
  DedupMemory memory;
  memory.Add(kClient, {Sequence(4), FileOffset(4990), 10});
  Start({kSelf, kSecond, kThird}, 1000, memory);
  Append(4, "0123456789");
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_TRUE(outcomes_[0].second.status.ok());
  EXPECT_EQ(outcomes_[0].second.offset, FileOffset(4990));
  Append(5, "next");
  EXPECT_EQ(ready_[kSelf].size(), 1u);
}

TEST_F(SequencerTest, Duplicate_RememberedBeyondTheEnd_IsForgotten) {
  DedupMemory memory;
  memory.Add(kClient, {Sequence(4), FileOffset(5300), 10});
  Start({kSelf, kSecond, kThird}, 1000, memory);
  Append(4, "0123456789");
  EXPECT_EQ(LastReason(), v1::SEQUENCE_FORGOTTEN);
}

TEST_F(SequencerTest, Sequence_BelowWhatIsRemembered_IsForgotten) {
  Append(5, "hello");  // predecessor 4 is missing
  EXPECT_EQ(LastReason(), v1::PREDECESSOR_MISSING);
  Append(Batch(5, "hello", 0));
  Append(Batch(3, "late", 0));
  EXPECT_EQ(LastReason(), v1::SEQUENCE_FORGOTTEN);
  EXPECT_EQ(ready_[kSelf].size(), 1u);
}

TEST_F(SequencerTest, Sequence_AfterOneGivenUp_IsAcceptedAndTheLateOneRefused) {
  Append(1, "one");
  Append(Batch(3, "three", 1));  // 2 was given up
  Append(Batch(2, "two", 1));
  EXPECT_EQ(LastReason(), v1::SEQUENCE_FORGOTTEN);
  EXPECT_EQ(ready_[kSelf].size(), 2u);
}

TEST_F(SequencerTest, Conditional_NotAtTheEnd_FailsCountingUncommitted) {
  Append(1, "hello");
  ClientBatch batch = Batch(2, "you", 1);
  batch.conditional = true;
  batch.expected_offset = FileOffset(5000);
  Append(batch);
  EXPECT_EQ(LastReason(), v1::EOF_MISMATCH);
  batch.expected_offset = FileOffset(5005);
  Append(batch);
  EXPECT_EQ(ready_[kSelf].size(), 2u);
}

TEST_F(SequencerTest, Full_FirstThatDoesNotFit_RefusesAllNewOnes) {
  Fill(1, 600);
  Fill(2, 600);
  EXPECT_EQ(LastReason(), v1::CHUNK_FULL);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].kind, ChunkEvent::Kind::kChunkFull);
  Append(Batch(3, "small", 1));
  EXPECT_EQ(LastReason(), v1::CHUNK_FULL);
  EXPECT_EQ(events_.size(), 1u);
  VoteFor(kSelf, 600);
  VoteFor(kSecond, 600);
  EXPECT_TRUE(outcomes_.back().second.status.ok());
  Fill(1, 600);
  EXPECT_TRUE(outcomes_.back().second.status.ok());
}

TEST_F(SequencerTest, Full_BeforeEofMismatch_LeavesTheOutcomeOpen) {
  Fill(1, 600);
  Fill(2, 600);
  ClientBatch batch = Batch(3, "x", 2);
  batch.conditional = true;
  batch.expected_offset = FileOffset(1);
  Append(batch);
  EXPECT_EQ(LastReason(), v1::CHUNK_FULL);
}

TEST_F(SequencerTest, Full_OfClients_RefusesNewClientsOnly) {
  Start({kSelf, kSecond, kThird}, 1 << 20);
  for (uint64_t i = 1; i <= DedupMemory::kMaxClients + 1; ++i) {
    ClientBatch batch = Batch(1, "x", 0);
    batch.client = ClientId(1000 + i);
    Append(batch);
  }
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(LastReason(), v1::CHUNK_FULL);
}

TEST_F(SequencerTest, TooLargeForAnyChunk_IsDefinite) {
  Fill(1, 1001);
  EXPECT_EQ(LastReason(), v1::TOO_LARGE);
  EXPECT_TRUE(events_.empty());
}

TEST_F(SequencerTest, Append_DamagedOrWrongEpochOrEmpty_IsRefused) {
  ClientBatch batch = Batch(1, "hello", 0);
  batch.intact = false;
  Append(batch);
  EXPECT_EQ(LastReason(), v1::CHECKSUM_MISMATCH);
  batch.intact = true;
  batch.epoch = Epoch(2);
  Append(batch);
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  Append(Batch(1, "", 0));
  EXPECT_EQ(LastReason(), v1::INVALID);
  EXPECT_TRUE(ready_.empty());
}

TEST_F(SequencerTest, Stop_WithPending_LeavesThemOpenAndRefusesAfter) {
  Append(1, "hello");
  sequencer_->AskFresh(1, false, now_);
  sequencer_->Stop(MakeError(v1::STALE_EPOCH, "fenced"));
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  EXPECT_EQ(ReasonOf(fresh_.at(1).status()), v1::STALE_EPOCH);
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);
  EXPECT_EQ(outcomes_.size(), 1u);
  Append(2, "you");
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  sequencer_->AskFresh(2, false, now_);
  EXPECT_FALSE(fresh_.at(2).ok());
}

TEST_F(SequencerTest, Vote_StaleEpoch_StopsThePrimary) {
  Append(1, "hello");
  VoteFor(kSecond, 0, MakeError(v1::STALE_EPOCH, "promised 4"));
  EXPECT_TRUE(sequencer_->stopped());
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
}

TEST_F(SequencerTest, PeerBroken_OneOfThree_LagsForGoodWhileOthersGoOn) {
  Append(1, "hello");
  sequencer_->OnPeerBroken(kThird);
  sequencer_->OnPeerBroken(kThird);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].about, kThird);
  Append(2, "you");
  EXPECT_EQ(ready_[kThird].size(), 1u);
  VoteFor(kSelf, 8);
  VoteFor(kSecond, 8);
  EXPECT_EQ(outcomes_.size(), 2u);
  EXPECT_EQ(commits_.count(kThird), 0u);
  EXPECT_TRUE(sequencer_->degraded());
}

TEST_F(SequencerTest, PeerBroken_Two_LosesTheQuorum) {
  Append(1, "hello");
  sequencer_->OnPeerBroken(kThird);
  sequencer_->OnPeerBroken(kSecond);
  EXPECT_EQ(LastReason(), v1::QUORUM_LOST);
  Append(2, "you");
  EXPECT_EQ(LastReason(), v1::QUORUM_LOST);
}

TEST_F(SequencerTest, Vote_OfALaggingMember_StillCounts) {
  Append(1, "hello");
  sequencer_->OnPeerBroken(kThird);
  VoteFor(kThird, 5);
  VoteFor(kSelf, 5);
  EXPECT_EQ(outcomes_.size(), 1u);
}

TEST_F(SequencerTest, Tick_NoVoteWhileAnotherVoted_Lags) {
  Append(1, "hello");
  sequencer_->Tick(now_ += seconds(5));
  EXPECT_TRUE(events_.empty());  // nobody has voted
  VoteFor(kSelf, 5);
  VoteFor(kSecond, 5);
  sequencer_->Tick(now_ += milliseconds(900));
  EXPECT_TRUE(events_.empty());
  sequencer_->Tick(now_ += milliseconds(200));
  ASSERT_FALSE(events_.empty());
  EXPECT_EQ(events_[0].about, kThird);
  EXPECT_FALSE(sequencer_->stopped());
}

TEST_F(SequencerTest, Tick_SlowButVoting_DoesNotLag) {
  for (uint64_t i = 1; i <= 10; ++i) {
    Append(i, "x");
    VoteFor(kSelf, i);
    VoteFor(kSecond, i);
    VoteFor(kThird, i - 1);
    sequencer_->Tick(now_ += milliseconds(600));
  }
  EXPECT_TRUE(events_.empty());
}

TEST_F(SequencerTest, Tick_Degraded_ReportsAgain) {
  sequencer_->OnPeerBroken(kThird);
  sequencer_->Tick(now_ += seconds(2));
  sequencer_->Tick(now_ += milliseconds(10));
  sequencer_->Tick(now_ += seconds(2));
  EXPECT_EQ(events_.size(), 3u);
}

TEST_F(SequencerTest, Vote_OwnDiskFailed_OthersGoOn) {
  Append(1, "hello");
  VoteFor(kSelf, 0, MakeError(v1::INPUT_OUTPUT, "disk"));
  VoteFor(kSecond, 5);
  VoteFor(kThird, 5);
  EXPECT_EQ(outcomes_.size(), 1u);
  EXPECT_TRUE(outcomes_[0].second.status.ok());
  EXPECT_EQ(events_[0].about, kSelf);
}

TEST_F(SequencerTest, Commit_FarAheadOfAMember_MarksItLagging) {
  Start({kSelf, kSecond, kThird}, 64 << 20);
  for (uint64_t i = 1; i <= 40; ++i) {
    Fill(i, 1 << 20);
    VoteFor(kSelf, i << 20);
    VoteFor(kSecond, i << 20);
  }
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].about, kThird);
}

}  // namespace
}  // namespace appendfs
