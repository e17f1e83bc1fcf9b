// Large appends, whose bytes go to the chunk file first and only their sums into
// the journal: what a crash, a cut, a full disk or rot makes of them.

#include <gtest/gtest.h>

#include "chunkserver/store/store_core.h"
#include "tests/chunkserver/store/store_core_fixture.h"

namespace appendfs {
namespace {

class StoreInPlaceTest : public StoreCoreTest {
 protected:
  StoreInPlaceTest() {
    options_.in_place_bytes = kLarge;
    Reopen();
    Create(kA);
  }

  // What the chunk file holds, applied or not.
  std::string File() {
    auto content = ReadWholeFile(fs_, layout::DataPath(kDirectory, kA));
    return content.ok() ? *content : "";
  }
  uint64_t Unapplied() { return core_->unapplied_bytes(); }

  static constexpr size_t kLarge = 70000;  // more than a block, and than a journal segment holds
  const std::string first_ = RandomBytes(1, kLarge), second_ = RandomBytes(2, kLarge + 12345);
};

TEST_F(StoreInPlaceTest, Append_Large_IsInTheChunkFileWhenItIsDurable) {
  Append(kA, first_);
  EXPECT_TRUE(File() == first_);
  EXPECT_EQ(Unapplied(), 0u);
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kA) == first_);
  Append(kA, second_);
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kA) == first_ + second_);
}

TEST_F(StoreInPlaceTest, Append_SmallBehindLarge_BothSurviveACrash) {
  Append(kA, first_);
  Append(kA, "small");
  Append(kA, "er");
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kA) == first_ + "smaller");
}

TEST_F(StoreInPlaceTest, Append_LargeBehindBytesOfTheJournal_GoesThereToo) {
  options_.segment_bytes = 1 << 20;
  options_.max_journal_bytes = 8 << 20;
  Reopen();
  Create(kB);
  Append(kB, "small");
  Append(kB, first_);
  EXPECT_EQ(Unapplied(), 5 + first_.size());
  ASSERT_TRUE(core_->Checkpoint().ok());
  Append(kB, second_);  // nothing is in its way any more
  EXPECT_EQ(Unapplied(), 0u);
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kB) == "small" + first_ + second_);
}

TEST_F(StoreInPlaceTest, Group_SeveralOfOneChunk_AreOneRun) {
  core_->Submit(MakeAppend(kA, 0, first_), 1);
  core_->Submit(MakeAppend(kA, first_.size(), second_), 2);
  core_->Submit(MakeAppend(kA, first_.size() + second_.size(), "end"), 3);
  const uint64_t before = fs_.operations();
  auto group = core_->PrepareGroup();
  ASSERT_TRUE(group);
  ASSERT_EQ(group->changes.size(), 3u);
  absl::Status status = core_->CommitGroup(*group);
  ASSERT_TRUE(status.ok()) << status;
  core_->CompleteGroup(std::move(group), status);
  // Made, written, synced, its name synced; written and synced in the journal.
  EXPECT_EQ(fs_.operations() - before, 6u);
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kA) == first_ + second_ + "end");
}

TEST_F(StoreInPlaceTest, Crash_BetweenBytesAndRecord_LeavesTheReplicaAsItWas) {
  Append(kA, first_);
  core_->Submit(MakeAppend(kA, first_.size(), second_), 1);
  fs_.FailPowerAfter(3);  // written and synced, but no record
  auto group = core_->PrepareGroup();
  ASSERT_TRUE(group);
  EXPECT_FALSE(core_->CommitGroup(*group).ok());
  CrashAndOpen();
  EXPECT_TRUE(File() == first_ + second_);
  EXPECT_TRUE(Fetch(kA) == first_);
  Append(kA, "other");
  ASSERT_TRUE(core_->Apply(1).ok());
  ASSERT_TRUE(core_->Checkpoint().ok());
  EXPECT_TRUE(File() == first_ + "other");
}

TEST_F(StoreInPlaceTest, Append_AfterACut_WaitsForTheSidecarThatKnowsOfIt) {
  Append(kA, first_);
  ASSERT_TRUE(Do(ConformReplica{.handle = kA, .epoch = Epoch(1), .length = 100}).status.ok());
  ASSERT_TRUE(core_->Apply(1).ok());
  EXPECT_FALSE(State(kA).damaged);
  options_.in_place_bytes = 1000;
  const std::string piece = RandomBytes(3, 1000);
  Reopen();
  ASSERT_TRUE(core_->Apply(1).ok());
  Append(kA, piece);
  EXPECT_EQ(Unapplied(), piece.size());
  ASSERT_TRUE(core_->Checkpoint().ok());
  Append(kA, piece);
  EXPECT_EQ(Unapplied(), 0u);
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kA) == first_.substr(0, 100) + piece + piece);
}

TEST_F(StoreInPlaceTest, Append_DiskIsFull_IsRefusedAndLeavesNothing) {
  Append(kA, first_);
  const uint64_t used = fs_.GetSpace("/s")->total_bytes - fs_.GetSpace("/s")->available_bytes;
  fs_.SetCapacity(used + 1000);  // less than the store believes
  StoreCompletion done = Do(MakeAppend(kA, first_.size(), second_));
  EXPECT_TRUE(HasReason(done.status, v1::NO_SPACE)) << done.status;
  EXPECT_TRUE(core_->failure().ok());
  fs_.SetCapacity(uint64_t{1} << 40);
  EXPECT_TRUE(Fetch(kA) == first_);
  ASSERT_TRUE(core_->Apply(1).ok());  // cuts what came of it
  Append(kA, second_);
  CrashAndOpen();
  EXPECT_TRUE(Fetch(kA) == first_ + second_);
}

TEST_F(StoreInPlaceTest, Append_SyncFails_NothingIsAcknowledged) {
  MakeSegments();
  fs_.FailSyncAfter(1);
  EXPECT_FALSE(Do(MakeAppend(kA, 0, first_)).status.ok());
  EXPECT_FALSE(core_->failure().ok());
  CrashAndOpen();
  EXPECT_EQ(State(kA).durable_length, 0u);
}

TEST_F(StoreInPlaceTest, Read_AByteRotted_IsNoticed) {
  Append(kA, first_);
  ASSERT_TRUE(fs_.FlipBit(layout::DataPath(kDirectory, kA), 66000, 3).ok());
  auto read = core_->Read(kA, 0, kLarge, /*committed_only=*/false);
  EXPECT_TRUE(HasReason(read.status(), v1::CHECKSUM_MISMATCH)) << read.status();
  CrashAndOpen();
  EXPECT_FALSE(core_->Read(kA, 0, kLarge, /*committed_only=*/false).ok());
}

TEST_F(StoreInPlaceTest, Append_TheChunkFileIsGone_DamagesTheReplica) {
  Append(kA, first_);
  Reopen();
  ASSERT_TRUE(fs_.Remove(layout::DataPath(kDirectory, kA)).ok());
  StoreCompletion done = Do(MakeAppend(kA, first_.size(), second_));
  EXPECT_TRUE(HasReason(done.status, v1::REPLICA_DAMAGED)) << done.status;
  EXPECT_TRUE(core_->failure().ok());
  EXPECT_TRUE(State(kA).damaged);
}

}  // namespace
}  // namespace appendfs
