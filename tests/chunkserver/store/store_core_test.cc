// What the store makes of changes: those that are refused change nothing, and
// those that a failing or full disk stops are not acknowledged.

#include "chunkserver/store/store_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/chunkserver/store/store_core_fixture.h"

namespace appendfs {
namespace {

TEST_F(StoreCoreTest, Refused_ChangesNothing) {
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 0, "x")).status, v1::UNKNOWN_CHUNK));
  EXPECT_TRUE(HasReason(Do(FenceReplica{kA, Epoch(2)}).status, v1::UNKNOWN_CHUNK));
  ASSERT_TRUE(Do(MakeCreate(kA, Epoch(3), /*capacity=*/10)).status.ok());
  EXPECT_TRUE(Do(MakeCreate(kA, Epoch(3), 10)).status.ok());  // sent again
  EXPECT_TRUE(HasReason(Do(MakeCreate(kA, Epoch(4), 10)).status, v1::ENTRY_EXISTS));
  EXPECT_TRUE(HasReason(Do(MakeCreate(kA, Epoch(3), 11)).status, v1::ENTRY_EXISTS));
  auto append = [](uint64_t offset, std::string bytes, uint64_t epoch) {
    return MakeAppend(kA, offset, std::move(bytes), ClientId(), Sequence(), Epoch(epoch));
  };
  EXPECT_TRUE(HasReason(Do(append(0, "x", 2)).status, v1::STALE_EPOCH));
  EXPECT_TRUE(HasReason(Do(append(0, "x", 4)).status, v1::STALE_EPOCH));
  EXPECT_TRUE(HasReason(Do(append(1, "x", 3)).status, v1::INVALID));
  EXPECT_TRUE(HasReason(
      Do(MakeAppend(kA, 0, std::string(11, 'x'), ClientId(7), Sequence(1), Epoch(3))).status,
      v1::CHUNK_FULL));
  EXPECT_TRUE(HasReason(Do(FenceReplica{kA, Epoch(2)}).status, v1::STALE_EPOCH));
  ASSERT_TRUE(Do(append(0, "four", 3)).status.ok());
  ConformReplica conform{.handle = kA, .epoch = Epoch(2), .length = 4, .seal = true};
  EXPECT_TRUE(HasReason(Do(conform).status, v1::STALE_EPOCH));
  conform.epoch = Epoch(3);
  conform.length = 5;
  EXPECT_TRUE(HasReason(Do(conform).status, v1::INVALID));
  conform.length = 3;
  EXPECT_TRUE(Do(conform).status.ok());
  EXPECT_TRUE(HasReason(Do(append(3, "x", 3)).status, v1::CHUNK_SEALED));
  conform.length = 2;
  EXPECT_TRUE(HasReason(Do(conform).status, v1::CHUNK_SEALED));
  conform.length = 3;
  EXPECT_TRUE(Do(conform).status.ok());  // sent again
  EXPECT_EQ(Fetch(kA), "fou");
  EXPECT_EQ(State(kA).committed_length, 3u);
}

TEST_F(StoreCoreTest, Append_CatchUpBeyondTheCapacity_IsTaken) {
  ASSERT_TRUE(Do(MakeCreate(kA, Epoch(3), 10)).status.ok());
  EXPECT_TRUE(Do(MakeAppend(kA, 0, "more than ten", ClientId(), Sequence(), Epoch(3))).status.ok());
  EXPECT_EQ(Fetch(kA), "more than ten");
}

TEST_F(StoreCoreTest, Submit_DependentChangesAtOnce_TakeEffectInOrder) {
  core_->Submit(MakeCreate(kA), 1);
  core_->Submit(MakeAppend(kA, 0, "ab"), 2);
  core_->Submit(MakeAppend(kA, 2, "cd"), 3);
  core_->Submit(FenceReplica{kA, Epoch(2)}, 4);
  core_->Submit(MakeAppend(kA, 4, "old epoch"), 5);
  core_->Submit(MakeAppend(kA, 4, "ef", ClientId(), Sequence(), Epoch(2)), 6);
  std::vector<std::pair<uint64_t, bool>> done;
  while (auto group = core_->PrepareGroup()) {
    absl::Status status = core_->CommitGroup(*group);
    for (const auto& completion : core_->CompleteGroup(std::move(group), status))
      done.emplace_back(completion.token, completion.status.ok());
  }
  EXPECT_THAT(done,
              ::testing::ElementsAre(std::pair(1, true), std::pair(2, true), std::pair(3, true),
                                     std::pair(4, true), std::pair(5, false), std::pair(6, true)));
  EXPECT_EQ(Fetch(kA), "abcdef");
}

TEST_F(StoreCoreTest, SetCommitted_BeforeTheBytes_CountsWhenTheyCome) {
  Create(kA);
  core_->SetCommitted(kA, 5);
  EXPECT_EQ(State(kA).committed_length, 0u);
  Append(kA, "abc");
  EXPECT_EQ(State(kA).committed_length, 3u);
}

TEST_F(StoreCoreTest, Append_BytesAreNotWhatWasSummed_Refused) {
  Create(kA);
  AppendBatch batch = MakeAppend(kA, 0, RandomBytes(1, 100000));
  batch.crc32c ^= 1;
  // Within one block the caller's sum is taken; it shows at the first read.
  core_ = nullptr;
  options_.segment_bytes = 1 << 20;
  Open();
  EXPECT_TRUE(HasReason(Do(batch).status, v1::CHECKSUM_MISMATCH));
  EXPECT_EQ(State(kA).durable_length, 0u);
}

TEST_F(StoreCoreTest, Journal_LongUse_RecyclesSegments) {
  Create(kA);
  std::string expected;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = RandomBytes(i, 10000);
    Append(kA, bytes);
    expected += bytes;
    if (i % 7 == 0) Reopen();
  }
  EXPECT_EQ(Fetch(kA), expected);
  EXPECT_LE(fs_.List(layout::JournalDirectory(kDirectory))->size(), 8u);
}

// Between any two steps, syncs and renames of what a checkpoint does.

TEST_F(StoreCoreTest, Delete_RemembersAcrossCheckpointAndRestart) {
  Create(kA);
  Append(kA, "abc");
  ASSERT_TRUE(core_->Checkpoint().ok());
  ASSERT_TRUE(Do(DeleteReplica{kA}).status.ok());
  ASSERT_TRUE(Do(DeleteReplica{kA}).status.ok());  // sent again
  ASSERT_TRUE(Do(DeleteReplica{kB}).status.ok());  // never here
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(HasReason(Do(MakeCreate(kA)).status, v1::ENTRY_EXISTS));
    EXPECT_TRUE(HasReason(Do(MakeCreate(kB)).status, v1::ENTRY_EXISTS));
    EXPECT_FALSE(core_->State(kA).ok());
    if (i == 1) {
      ASSERT_TRUE(core_->Checkpoint().ok());
    }
    Reopen();
  }
  EXPECT_FALSE(*fs_.Exists(layout::DataPath(kDirectory, kA)));
  EXPECT_FALSE(*fs_.Exists(layout::SidecarPath(kDirectory, kA)));
}

TEST_F(StoreCoreTest, Delete_CrashBeforeRemoval_FilesGoAtTheNextStart) {
  Create(kA);
  Append(kA, "abc");
  ASSERT_TRUE(core_->Checkpoint().ok());
  ASSERT_TRUE(Do(DeleteReplica{kA}).status.ok());
  CrashAndOpen();
  EXPECT_FALSE(core_->State(kA).ok());
  ASSERT_TRUE(core_->RemoveDeleted().ok());
  EXPECT_FALSE(*fs_.Exists(layout::DataPath(kDirectory, kA)));
}

TEST_F(StoreCoreTest, Sync_Fails_NothingIsAcknowledgedAnyMore) {
  Create(kA);
  MakeSegments();
  fs_.FailSyncAfter(1);
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 0, "x")).status, v1::INPUT_OUTPUT));
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 0, "x")).status, v1::INPUT_OUTPUT));
  EXPECT_FALSE(core_->failure().ok());
  EXPECT_FALSE(core_->Checkpoint().ok());
  EXPECT_FALSE(core_->Apply(1).ok());
  EXPECT_EQ(State(kA).durable_length, 0u);
}

// Kernels forget which pages they failed to write: they can be read after the
// process has restarted, and are gone when the machine has.
TEST_F(StoreCoreTest, Sync_FailedBeforeARestart_WhatIsShownAfterItOutlivesAPowerFailure) {
  Create(kA);
  Append(kA, "abc");
  MakeSegments();
  fs_.FailSyncAfter(1);
  EXPECT_FALSE(Do(MakeAppend(kA, 3, "def")).status.ok());
  Reopen();
  ASSERT_EQ(State(kA).durable_length, 6u);
  CrashAndOpen();
  EXPECT_EQ(State(kA).durable_length, 6u);
  EXPECT_EQ(Fetch(kA), "abcdef");
}

TEST_F(StoreCoreTest, Write_FailsInACheckpoint_NothingIsAcknowledgedAnyMore) {
  Create(kA);
  Append(kA, "abc");
  fs_.FailWriteAfter(1);
  EXPECT_FALSE(core_->Checkpoint().ok());
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 3, "x")).status, v1::INPUT_OUTPUT));
  CrashAndOpen();
  EXPECT_EQ(Fetch(kA), "abc");
}

TEST_F(StoreCoreTest, Disk_FullButForTheReservedRoom_RefusesAppendsOnly) {
  Create(kA);
  Append(kA, "abc");
  MakeSegments();
  const FileSystem::Space space = *fs_.GetSpace(kDirectory);
  fs_.SetCapacity(space.total_bytes - space.available_bytes + options_.reserved_bytes + 5000);
  ASSERT_TRUE(core_->RefreshSpace().ok());
  absl::Status status;
  int accepted = 0;
  for (; accepted < 100 && status.ok(); ++accepted)
    status = Do(MakeAppend(kA, 3 + 1000 * accepted, std::string(1000, 'x'), ClientId(1),
                           Sequence(accepted + 1)))
                 .status;
  EXPECT_TRUE(HasReason(status, v1::NO_SPACE)) << status;
  EXPECT_GT(accepted, 1);
  EXPECT_LT(accepted, 7);
  EXPECT_EQ(core_->usage().available_bytes / 1000, 0u);
  EXPECT_TRUE(Do(FenceReplica{kA, Epoch(2)}).status.ok());
  // A replica that catches up may use the reserved room.
  EXPECT_TRUE(Do(MakeAppend(kA, 3 + 1000 * (accepted - 1), std::string(1000, 'x'), ClientId(),
                            Sequence(), Epoch(2)))
                  .status.ok());
  Create(kB);
  EXPECT_TRUE(Do(DeleteReplica{kB}).status.ok());
  ConformReplica conform{.handle = kA, .epoch = Epoch(2), .length = 500, .seal = true};
  EXPECT_TRUE(Do(conform).status.ok());
  EXPECT_TRUE(core_->Checkpoint().ok());
  Reopen();
  EXPECT_EQ(Fetch(kA), "abc" + std::string(497, 'x'));
}

}  // namespace
}  // namespace appendfs
