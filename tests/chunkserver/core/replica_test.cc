#include "chunkserver/core/replica.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace appendfs {
namespace {

constexpr ChunkHandle kHandle{77};
constexpr Epoch kEpoch{3};

class ReplicaTest : public ::testing::Test, public Replica::Output {
 protected:
  ReplicaTest() { Start(0, 0); }
  void Start(uint64_t durable, uint64_t committed) {
    replica_ = std::make_unique<Replica>(Replica::Setup{kHandle, kEpoch, 1000, durable, committed},
                                         Replica::Options{64}, *this);
  }
  Ready Batch(uint64_t offset, std::string payload) {
    return {kHandle, kEpoch, offset, Buffer::From(std::move(payload)), 0, ClientId(1), Sequence(1)};
  }
  Reason LastReason() { return votes_.empty() ? Reason() : ReasonOf(votes_.back().status); }

  void Store(const Ready& batch) override { stored_.push_back(batch.offset); }
  void ShowCommitted(uint64_t length) override { shown_ = length; }
  void CastVote(const Vote& vote) override { votes_.push_back(vote); }

  std::vector<uint64_t> stored_;
  uint64_t shown_ = 0;
  std::vector<Vote> votes_;
  std::unique_ptr<Replica> replica_;
};

TEST_F(ReplicaTest, Ready_InOrder_IsStoredAndVotedForOnceDurable) {
  replica_->OnReady(Batch(0, "hello"));
  EXPECT_EQ(stored_, std::vector<uint64_t>({0}));
  EXPECT_TRUE(votes_.empty());
  replica_->OnDurable(5);
  ASSERT_EQ(votes_.size(), 1u);
  EXPECT_TRUE(votes_[0].status.ok());
  EXPECT_EQ(votes_[0].epoch, kEpoch);
  EXPECT_EQ(votes_[0].durable_length, 5u);
}

TEST_F(ReplicaTest, Ready_OutOfOrder_IsStoredInOrder) {
  replica_->OnReady(Batch(8, "c"));
  replica_->OnReady(Batch(5, "you"));
  EXPECT_TRUE(stored_.empty());
  replica_->OnReady(Batch(0, "hello"));
  EXPECT_EQ(stored_, std::vector<uint64_t>({0, 5, 8}));
}

TEST_F(ReplicaTest, Ready_TooMuchBeforeItsTurn_IsRefused) {
  replica_->OnReady(Batch(100, std::string(60, 'x')));
  EXPECT_TRUE(votes_.empty());
  replica_->OnReady(Batch(160, std::string(60, 'x')));
  EXPECT_EQ(LastReason(), v1::PREDECESSOR_MISSING);
  EXPECT_EQ(votes_.back().durable_length, 0u);
}

TEST_F(ReplicaTest, Ready_Again_IsNotStoredAgain) {
  replica_->OnReady(Batch(0, "hello"));
  replica_->OnReady(Batch(0, "hello"));
  EXPECT_TRUE(votes_.empty());
  replica_->OnDurable(5);
  replica_->OnReady(Batch(0, "hello"));
  EXPECT_EQ(stored_.size(), 1u);
  ASSERT_EQ(votes_.size(), 2u);
  EXPECT_EQ(votes_[1].durable_length, 5u);
}

TEST_F(ReplicaTest, Ready_CutThroughABatch_IsRefused) {
  replica_->OnReady(Batch(0, "hello"));
  replica_->OnReady(Batch(3, "lo, you"));
  EXPECT_EQ(LastReason(), v1::INVALID);
}

TEST_F(ReplicaTest, Ready_OfOtherEpochs_IsRefused) {
  Ready batch = Batch(0, "hello");
  batch.epoch = Epoch(2);
  replica_->OnReady(batch);
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  EXPECT_EQ(votes_.back().epoch, Epoch(2));
  batch.epoch = Epoch(4);
  replica_->OnReady(batch);
  EXPECT_EQ(LastReason(), v1::INVALID);
  EXPECT_TRUE(stored_.empty());
}

TEST_F(ReplicaTest, Ready_DamagedOrOutsideTheChunk_IsRefused) {
  Ready batch = Batch(0, "hello");
  batch.intact = false;
  replica_->OnReady(batch);
  EXPECT_EQ(LastReason(), v1::CHECKSUM_MISMATCH);
  replica_->OnReady(Batch(998, "hello"));
  EXPECT_EQ(LastReason(), v1::INVALID);
  replica_->OnReady(Batch(~0ull - 1, "hello"));
  EXPECT_EQ(LastReason(), v1::INVALID);
  EXPECT_TRUE(stored_.empty());
}

TEST_F(ReplicaTest, Commit_AheadOfDurable_IsShownWhenDurable) {
  replica_->OnReady(Batch(0, "hello"));
  replica_->OnCommit({kHandle, kEpoch, 5});
  EXPECT_EQ(shown_, 0u);
  replica_->OnDurable(5);
  EXPECT_EQ(shown_, 5u);
  replica_->OnCommit({kHandle, kEpoch, 3});
  EXPECT_EQ(shown_, 5u);
}

TEST_F(ReplicaTest, Commit_OfAnotherEpoch_IsIgnored) {
  Start(10, 0);
  replica_->OnCommit({kHandle, Epoch(2), 5});
  EXPECT_EQ(shown_, 0u);
}

TEST_F(ReplicaTest, Promise_Newer_DropsWhatWaitsAndSilencesOldVotes) {
  replica_->OnReady(Batch(0, "hello"));
  replica_->OnReady(Batch(10, "early"));
  EXPECT_TRUE(replica_->Promise(Epoch(4)).ok());
  replica_->OnDurable(5);
  EXPECT_TRUE(votes_.empty());
  EXPECT_EQ(replica_->durable_length(), 5u);
  replica_->OnReady(Batch(5, "and 5"));
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  EXPECT_EQ(stored_.size(), 1u);
}

TEST_F(ReplicaTest, Promise_OlderOrSame_KeepsTheNewest) {
  EXPECT_EQ(ReasonOf(replica_->Promise(Epoch(2))), v1::STALE_EPOCH);
  EXPECT_TRUE(replica_->Promise(kEpoch).ok());
  EXPECT_EQ(replica_->epoch(), kEpoch);
}

TEST_F(ReplicaTest, Confirm_NamesThePromise) {
  EXPECT_EQ(replica_->OnConfirm({kHandle, kEpoch, 8}).promised, kEpoch);
  EXPECT_TRUE(replica_->Promise(Epoch(4)).ok());
  ConfirmAnswer answer = replica_->OnConfirm({kHandle, kEpoch, 9});
  EXPECT_EQ(answer.promised, Epoch(4));
  EXPECT_EQ(answer.round, 9u);
}

TEST_F(ReplicaTest, Failed_Store_RefusesEverythingAfter) {
  replica_->OnReady(Batch(0, "hello"));
  replica_->OnFailed(MakeError(v1::NO_SPACE, "full"));
  EXPECT_EQ(LastReason(), v1::NO_SPACE);
  replica_->OnReady(Batch(5, "you"));
  EXPECT_EQ(LastReason(), v1::NO_SPACE);
  EXPECT_EQ(stored_.size(), 1u);
}

TEST_F(ReplicaTest, Restarted_KeepsWhatIsDurable) {
  Start(5, 3);
  replica_->OnReady(Batch(0, "hello"));
  ASSERT_EQ(votes_.size(), 1u);
  EXPECT_EQ(votes_[0].durable_length, 5u);
  replica_->OnReady(Batch(5, "you"));
  EXPECT_EQ(stored_, std::vector<uint64_t>({5}));
}

}  // namespace
}  // namespace appendfs
