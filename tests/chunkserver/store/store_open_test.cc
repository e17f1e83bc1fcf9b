// Opening a data directory after power failures, and checking one offline.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chunkserver/store/check_directory.h"
#include "tests/chunkserver/store/store_core_fixture.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

using StoreOpenTest = StoreCoreTest;

TEST_F(StoreOpenTest, Checkpoint_PowerFailsAtEachOperation_NothingIsLost) {
  const std::string first = RandomBytes(1, 30000), second = RandomBytes(2, 30000);
  for (uint64_t operation = 1, finished = 0; finished == 0; ++operation) {
    ASSERT_LT(operation, 200u);
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      const ChunkHandle a(100 * operation + seed * 3), b(a.Next()), gone(b.Next());
      for (ChunkHandle handle : {a, b, gone}) {
        Create(handle);
        Append(handle, first);
        core_->SetCommitted(handle, 20000);
      }
      if (seed % 2) {
        ASSERT_TRUE(core_->Apply(1).ok());
      }
      if (seed % 3) {
        ASSERT_TRUE(core_->Checkpoint().ok());
      }
      Append(a, second);
      ConformReplica cut{.handle = b, .epoch = Epoch(2), .length = 12345};
      ASSERT_TRUE(Do(cut).status.ok());
      if (seed % 5) {
        ASSERT_TRUE(core_->Apply(1).ok());
      }
      ASSERT_TRUE(Do(DeleteReplica{gone}).status.ok());
      fs_.FailPowerAfter(operation);
      if (core_->Checkpoint().ok() && !fs_.power_is_off()) finished = operation;
      core_ = nullptr;
      fs_.Crash(seed * 1000 + operation);
      Open();
      ASSERT_EQ(Fetch(a), first + second) << "operation " << operation << " seed " << seed;
      ASSERT_EQ(Fetch(b), first.substr(0, 12345)) << "operation " << operation << " seed " << seed;
      ASSERT_EQ(State(b).epoch, Epoch(2));
      ASSERT_FALSE(core_->State(gone).ok());
      for (ChunkHandle handle : {a, b}) ASSERT_TRUE(Do(DeleteReplica{handle}).status.ok());
    }
  }
}

// A process killed between a rename and the sync of its directory leaves a
// checkpoint that the next one believes, and by which it reuses the journal.
TEST_F(StoreOpenTest, Open_AfterAKillInACheckpoint_NeedsNoJournalThatItReuses) {
  Create(kB);
  for (uint64_t operation = 1, finished = 0; finished == 0; ++operation) {
    ASSERT_LT(operation, 200u);
    const ChunkHandle gone(100 + operation);
    ASSERT_TRUE(core_->Checkpoint().ok());
    Reopen();  // what follows lies where the next process begins, too
    Create(gone);
    Append(gone, "abc");
    ASSERT_TRUE(Do(DeleteReplica{gone}).status.ok());
    fs_.FailPowerAfter(operation);
    if (core_->Checkpoint().ok() && !fs_.power_is_off()) finished = operation;
    core_ = nullptr;
    fs_.Kill();
    Open();
    Append(kB, RandomBytes(operation, 50000));
    auto disk = fs_.DurableCopy();
    auto later = StoreCore::Open(*disk, clock_, kDirectory, options_);
    ASSERT_TRUE(later.ok()) << later.status();
    EXPECT_TRUE((*later)->WasDeleted(gone)) << "operation " << operation;
    EXPECT_FALSE((*later)->State(kB)->damaged) << "operation " << operation;
  }
}

TEST_F(StoreOpenTest, Open_IdentityMissingOrNewer_Refused) {
  Create(kA);
  Append(kA, "abc");
  ASSERT_TRUE(core_->Checkpoint().ok());
  core_ = nullptr;
  const std::string path = layout::IdentityPath(kDirectory);
  ASSERT_TRUE(ReplaceFile(fs_, path, "appendfs-chunkserver\nformat 99\n").ok());
  EXPECT_TRUE(
      HasReason(StoreCore::Open(fs_, clock_, kDirectory, options_).status(), v1::VERSION_MISMATCH));
  ASSERT_TRUE(ReplaceFile(fs_, path, "").ok());
  EXPECT_TRUE(
      HasReason(StoreCore::Open(fs_, clock_, kDirectory, options_).status(), v1::INPUT_OUTPUT));
  ASSERT_TRUE(fs_.Remove(path).ok());
  absl::Status status = StoreCore::Open(fs_, clock_, kDirectory, options_).status();
  EXPECT_TRUE(HasReason(status, v1::INPUT_OUTPUT));
  EXPECT_THAT(std::string(status.message()), HasSubstr("identity is missing"));
}

TEST_F(StoreOpenTest, Open_PowerFailsAtEachOperationOfTheFirstStart_NextStartSucceeds) {
  for (uint64_t operation = 1; operation < 400; ++operation) {
    SimFileSystem fs;
    ASSERT_TRUE(fs.MakeDirectory("/s").ok());
    ASSERT_TRUE(fs.SyncDirectory("/").ok());
    fs.FailPowerAfter(operation);
    const bool started = StoreCore::Open(fs, clock_, "/s/dir", options_).ok();
    if (started && !fs.power_is_off()) return;
    fs.Crash(operation);
    auto core = StoreCore::Open(fs, clock_, "/s/dir", options_);
    ASSERT_TRUE(core.ok()) << operation << ": " << core.status();
  }
  FAIL() << "the first start takes more operations than this test thought";
}

TEST_F(StoreOpenTest, CheckDirectory_SeesWhatAReaderWouldAndChangesNothing) {
  ASSERT_TRUE(core_->SetIdentity({"uuid", ServerId(3)}).ok());
  const std::string bytes = RandomBytes(1, 50000);
  for (ChunkHandle handle : {kA, kB, kC}) {
    Create(handle);
    Append(handle, bytes);
  }
  ASSERT_TRUE(core_->Checkpoint().ok());
  Append(kA, "more");
  EXPECT_FALSE(CheckDirectory(fs_, kDirectory).ok());  // in use
  EXPECT_FALSE(CheckDirectory(fs_, "/s").ok());
  core_ = nullptr;
  const uint64_t operations = fs_.operations();
  auto check = CheckDirectory(fs_, kDirectory);
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->identity.cluster_uuid, "uuid");
  EXPECT_EQ(check->replicas, 3u);
  EXPECT_EQ(check->bytes, 3 * 50000u + 4);
  EXPECT_EQ(check->journal_groups, 1u);
  EXPECT_THAT(check->problems, ::testing::IsEmpty());
  ASSERT_TRUE(fs_.FlipBit(layout::DataPath(kDirectory, kB), 49999, 0).ok());
  ASSERT_TRUE(fs_.FlipBit(layout::SidecarPath(kDirectory, kC), 9, 0).ok());
  check = CheckDirectory(fs_, kDirectory);
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->damaged_replicas, 2u);
  EXPECT_EQ(check->bytes, 50004u);
  EXPECT_THAT(check->problems,
              ::testing::UnorderedElementsAre(HasSubstr("chunk=2 "), HasSubstr("chunk=3 ")));
  EXPECT_EQ(fs_.operations(), operations);
}

}  // namespace
}  // namespace appendfs
