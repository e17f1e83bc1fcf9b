// Damage on the disk: it is found, it marks what it concerns and nothing else,
// and it never passes for a shorter replica.

#include "chunkserver/store/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/chunkserver/store/store_core_fixture.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

using StoreDamageTest = StoreCoreTest;

TEST_F(StoreDamageTest, Journal_FlippedBitInAnEarlierPayload_DamagesThatReplicaOnly) {
  Create(kA);
  Create(kB);
  Append(kA, "payload of a");
  Append(kB, "payload of b");
  Append(kA, "more of a");
  FlipInJournal("payload of a");
  Reopen();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_THAT(State(kA).damage, HasSubstr("checksum"));
  EXPECT_EQ(Fetch(kB), "payload of b");
}

TEST_F(StoreDamageTest, Journal_FlippedBitInAnEarlierGroup_DamagesEveryOpenReplica) {
  Create(kA);
  Create(kB);
  Append(kB, "sealed");
  Seal(kB);
  Append(kA, "lost");
  Append(kA, "last");
  FlipInJournal("lost", -20);  // in its record
  for (int i = 0; i < 3; ++i) {
    Reopen();
    EXPECT_TRUE(State(kA).damaged);
    EXPECT_THAT(State(kA).damage, HasSubstr("journal group"));
    EXPECT_EQ(Fetch(kB), "sealed");
    // The mark outlives the journal it came from.
    if (i == 1) {
      ASSERT_TRUE(core_->Checkpoint().ok());
    }
  }
}

TEST_F(StoreDamageTest, Journal_HeaderGone_IsMissedByTheNextGroup) {
  Create(kA);
  Append(kA, "lost");
  Append(kA, "last");
  FlipInJournal("lost", -static_cast<int64_t>(kAppendRecordBytes) - 60);
  Reopen();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_THAT(State(kA).damage, HasSubstr("missing"));
}

TEST_F(StoreDamageTest, Journal_LastGroupBad_IsATornTail) {
  Create(kA);
  Append(kA, "kept");
  Append(kA, "torn");
  FlipInJournal("torn");
  Reopen();
  EXPECT_FALSE(State(kA).damaged);
  EXPECT_EQ(Fetch(kA), "kept");
  Append(kA, "new");
  Reopen();
  EXPECT_EQ(Fetch(kA), "keptnew");
}

TEST_F(StoreDamageTest, Journal_LastGroupBadButMarkedDurable_IsDamage) {
  Create(kA);
  Append(kA, "kept");
  Append(kA, "rotten");
  ASSERT_TRUE(core_->MarkIdle().ok());
  FlipInJournal("rotten");
  Reopen();
  EXPECT_TRUE(State(kA).damaged);
}

TEST_F(StoreDamageTest, Journal_LastGroupBadButMarked_IsDamageAfterAPowerFailureToo) {
  Create(kA);
  Append(kA, "kept");
  Append(kA, "rotten");
  EXPECT_TRUE(core_->WantsMark());
  ASSERT_TRUE(core_->MarkIdle().ok());
  EXPECT_FALSE(core_->WantsMark());
  FlipInJournal("rotten");
  CrashAndOpen();
  EXPECT_TRUE(State(kA).damaged);
}

TEST_F(StoreDamageTest, Journal_LastGroupFillsItsSegment_IsMarkedInTheNext) {
  Create(kA);
  MakeSegments();
  const uint64_t segment = options_.segment_bytes;
  // Group header, create's group, then one that leaves no room.
  const uint64_t room = segment - AlignGroup(1) - GroupHeader::kBytes - kAppendRecordBytes;
  Append(kA, std::string(room, 'x'));
  MakeSegments();
  ASSERT_TRUE(core_->MarkIdle().ok());
  EXPECT_FALSE(core_->WantsMark());
  FlipInJournal("xxxx");
  CrashAndOpen();
  EXPECT_TRUE(State(kA).damaged);
}

TEST_F(StoreDamageTest, Journal_LastGroupBadButInASidecar_IsDamageOfTheOthersOnly) {
  Create(kA);
  Create(kB);
  Append(kB, "b");
  Append(kA, "rotten");
  // Power fails right before the checkpoint file would be replaced.
  const uint64_t before = fs_.operations();
  ASSERT_TRUE(core_->Checkpoint().ok());
  const uint64_t operations = fs_.operations() - before;
  Append(kA, "more");
  Append(kB, "last");
  fs_.FailPowerAfter(operations - 5);
  EXPECT_FALSE(core_->Checkpoint().ok());
  CrashAndOpen();
  EXPECT_EQ(Fetch(kA), "rottenmore");
  EXPECT_EQ(Fetch(kB), "blast");
}

TEST_F(StoreDamageTest, Journal_SegmentRemoved_DamagesWhatNeededIt) {
  Create(kA);
  for (int i = 0; i < 10; ++i) Append(kA, RandomBytes(i, 10000));
  const std::string first = layout::JournalDirectory(kDirectory) + "/0001.seg";
  core_ = nullptr;
  ASSERT_TRUE(fs_.Remove(first).ok());
  Open();
  EXPECT_TRUE(State(kA).damaged);
}

TEST_F(StoreDamageTest, Sidecar_FlippedBit_DamagesWithReason) {
  Create(kA);
  Append(kA, "abc");
  Create(kB);
  Append(kB, "def");
  ASSERT_TRUE(core_->Checkpoint().ok());
  ASSERT_TRUE(fs_.FlipBit(layout::SidecarPath(kDirectory, kA), 30, 1).ok());
  Reopen();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_THAT(State(kA).damage, HasSubstr(layout::SidecarPath(kDirectory, kA)));
  EXPECT_THAT(State(kA).damage, HasSubstr("checksum"));
  EXPECT_EQ(Fetch(kB), "def");
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 3, "x")).status, v1::REPLICA_DAMAGED));
  EXPECT_TRUE(HasReason(Do(FenceReplica{kA, Epoch(9)}).status, v1::REPLICA_DAMAGED));
  EXPECT_TRUE(HasReason(core_->Read(kA, 0, 1, true).status(), v1::REPLICA_DAMAGED));
  EXPECT_TRUE(Do(DeleteReplica{kA}).status.ok());
  EXPECT_FALSE(core_->State(kA).ok());
}

TEST_F(StoreDamageTest, Sidecar_OfAnotherCluster_IsDamage) {
  ASSERT_TRUE(core_->SetIdentity({"cluster-1", ServerId(1)}).ok());
  Create(kA);
  Append(kA, "abc");
  ASSERT_TRUE(core_->Checkpoint().ok());
  core_ = nullptr;
  const std::string path = layout::IdentityPath(kDirectory);
  IdentityFile identity = *DecodeIdentity(*ReadWholeFile(fs_, path), path);
  identity.identity.cluster_uuid = "cluster-2";
  ASSERT_TRUE(ReplaceFile(fs_, path, EncodeIdentity(identity)).ok());
  Open();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_THAT(State(kA).damage, HasSubstr("cluster-1"));
}

TEST_F(StoreDamageTest, ChunkFile_MissingOrShort_IsDamageWithReason) {
  for (ChunkHandle handle : {kA, kB}) {
    Create(handle);
    Append(handle, "abcdef");
  }
  ASSERT_TRUE(core_->Checkpoint().ok());
  core_ = nullptr;
  ASSERT_TRUE(fs_.Remove(layout::DataPath(kDirectory, kA)).ok());
  auto file = fs_.Open(layout::DataPath(kDirectory, kB), FileSystem::OpenMode::kReadWrite);
  ASSERT_TRUE((*file)->Truncate(5).ok());
  Open();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_THAT(State(kA).damage, HasSubstr("0000000000000001.data"));
  EXPECT_TRUE(State(kB).damaged);
  EXPECT_THAT(State(kB).damage, HasSubstr("has 5 bytes, should have 6"));
}

TEST_F(StoreDamageTest, ChunkFile_FlippedBit_FoundByReadAndRemembered) {
  Create(kA);
  const std::string bytes = RandomBytes(1, 40000) + RandomBytes(2, 40000);
  Append(kA, bytes.substr(0, 40000));
  Append(kA, bytes.substr(40000));
  ASSERT_TRUE(core_->Checkpoint().ok());
  ASSERT_TRUE(fs_.FlipBit(layout::DataPath(kDirectory, kA), 70000, 5).ok());
  // The other block is still good.
  EXPECT_EQ(core_->Read(kA, 100, 1000, false)->payload.view(), bytes.substr(100, 1000));
  auto read = core_->Read(kA, 65536, 10, false);
  EXPECT_TRUE(HasReason(read.status(), v1::CHECKSUM_MISMATCH));
  auto found = core_->TakeDamageFound();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].handle, kA);
  EXPECT_TRUE(HasReason(core_->Read(kA, 0, 10, false).status(), v1::REPLICA_DAMAGED));
  Create(kB);  // the next group carries the mark
  CrashAndOpen();
  EXPECT_TRUE(State(kA).damaged);
  ASSERT_TRUE(core_->Checkpoint().ok());
  CrashAndOpen();
  EXPECT_TRUE(State(kA).damaged);
}

TEST_F(StoreDamageTest, CheckpointFile_Lost_DamagesOpenReplicasKeepsSealedOnes) {
  for (ChunkHandle handle : {kA, kB}) {
    Create(handle);
    Append(handle, "abcdef");
  }
  Seal(kB);
  ASSERT_TRUE(core_->Checkpoint().ok());
  Append(kA, "more");
  core_ = nullptr;
  ASSERT_TRUE(fs_.FlipBit(layout::CheckpointPath(kDirectory), 12, 0).ok());
  Open();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_EQ(Fetch(kB), "abcdef");
  EXPECT_FALSE(Do(MakeCreate(ChunkHandle(1))).status.ok());
  Create(kC);
  Append(kC, "new");
  CrashAndOpen();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_EQ(Fetch(kB), "abcdef");
  EXPECT_EQ(Fetch(kC), "new");
}

}  // namespace
}  // namespace appendfs
