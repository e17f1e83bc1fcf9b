// The chunk store without its threads, on a simulated disk: what damage,
// failing and full disks do, and that what is refused changes nothing.

#include "chunkserver/store/store_core.h"

#include <glog/logging.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chunkserver/store/check_directory.h"
#include "chunkserver/store/layout.h"
#include "common/crc32c.h"
#include "tests/chunkserver/store/store_test_util.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

constexpr ChunkHandle kA(1), kB(2), kC(3);

class StoreCoreTest : public ::testing::Test {
 protected:
  StoreCoreTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;  // failures here are on purpose
    options_.segment_bytes = 64 << 10;
    options_.max_journal_bytes = 512 << 10;
    options_.reserved_bytes = 1 << 20;
    EXPECT_TRUE(fs_.MakeDirectory("/s").ok());
    EXPECT_TRUE(fs_.SyncDirectory("/").ok());
    Open();
  }

  void Open() {
    auto core = StoreCore::Open(fs_, clock_, kDirectory, options_);
    ASSERT_TRUE(core.ok()) << core.status();
    core_ = *std::move(core);
  }
  void Reopen() {
    core_ = nullptr;
    Open();
  }
  void CrashAndOpen() {
    core_ = nullptr;
    fs_.Crash(1);
    Open();
  }

  StoreCompletion Do(StoreChange change) {
    core_->Submit(std::move(change), 1);
    StoreCompletion last;
    while (core_->HasQueued()) {
      if (core_->WantsSegment()) {
        EXPECT_TRUE(core_->MakeSegment().ok());
      }
      auto group = core_->PrepareGroup();
      if (!group) {
        EXPECT_TRUE(core_->Checkpoint().ok());
        continue;
      }
      absl::Status status = core_->CommitGroup(*group);
      for (StoreCompletion& completion : core_->CompleteGroup(std::move(group), status))
        last = completion;
    }
    return last;
  }
  // So that the next group finds a segment.
  void MakeSegments() {
    while (core_->WantsSegment()) ASSERT_TRUE(core_->MakeSegment().ok());
  }
  void Append(ChunkHandle handle, const std::string& bytes) {
    StoreCompletion done = Do(MakeAppend(handle, State(handle).durable_length, bytes));
    ASSERT_TRUE(done.status.ok()) << done.status;
  }
  void Create(ChunkHandle handle) { ASSERT_TRUE(Do(MakeCreate(handle)).status.ok()); }
  void Seal(ChunkHandle handle) {
    ConformReplica conform{
        .handle = handle, .epoch = Epoch(1), .length = State(handle).durable_length, .seal = true};
    ASSERT_TRUE(Do(conform).status.ok());
  }
  ReplicaState State(ChunkHandle handle) {
    auto state = core_->State(handle);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? *state : ReplicaState();
  }
  std::string Fetch(ChunkHandle handle) {
    auto read = core_->Read(handle, 0, 1 << 30, /*committed_only=*/false);
    return read.ok() ? std::string(read->payload.view()) : read.status().ToString();
  }

  // Flips a bit of the journal, `delta` bytes from where `text` stands.
  void FlipInJournal(std::string_view text, int64_t delta = 0) {
    const std::string directory = layout::JournalDirectory(kDirectory);
    const std::vector<std::string> names = *fs_.List(directory);
    for (const std::string& name : names) {
      const std::string path = directory + "/" + name;
      size_t at = ReadWholeFile(fs_, path)->find(text);
      if (at == std::string::npos) continue;
      ASSERT_TRUE(fs_.FlipBit(path, at + delta, 3).ok());
      return;
    }
    FAIL() << "not in the journal: " << text;
  }

  static inline const std::string kDirectory = "/s/dir";
  SimFileSystem fs_;
  SystemClock clock_;
  StoreOptions options_;
  std::unique_ptr<StoreCore> core_;
};

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
  EXPECT_TRUE(HasReason(Do(append(0, std::string(11, 'x'), 3)).status, v1::CHUNK_FULL));
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

TEST_F(StoreCoreTest, Journal_FlippedBitInAnEarlierPayload_DamagesThatReplicaOnly) {
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

TEST_F(StoreCoreTest, Journal_FlippedBitInAnEarlierGroup_DamagesEveryOpenReplica) {
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

TEST_F(StoreCoreTest, Journal_HeaderGone_IsMissedByTheNextGroup) {
  Create(kA);
  Append(kA, "lost");
  Append(kA, "last");
  FlipInJournal("lost", -static_cast<int64_t>(kAppendRecordBytes) - 60);
  Reopen();
  EXPECT_TRUE(State(kA).damaged);
  EXPECT_THAT(State(kA).damage, HasSubstr("missing"));
}

TEST_F(StoreCoreTest, Journal_LastGroupBad_IsATornTail) {
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

TEST_F(StoreCoreTest, Journal_LastGroupBadButMarkedDurable_IsDamage) {
  Create(kA);
  Append(kA, "kept");
  Append(kA, "rotten");
  ASSERT_TRUE(core_->MarkIdle().ok());
  FlipInJournal("rotten");
  Reopen();
  EXPECT_TRUE(State(kA).damaged);
}

TEST_F(StoreCoreTest, Journal_LastGroupBadButInASidecar_IsDamageOfTheOthersOnly) {
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

TEST_F(StoreCoreTest, Journal_SegmentRemoved_DamagesWhatNeededIt) {
  Create(kA);
  for (int i = 0; i < 10; ++i) Append(kA, RandomBytes(i, 10000));
  const std::string first = layout::JournalDirectory(kDirectory) + "/0001.seg";
  core_ = nullptr;
  ASSERT_TRUE(fs_.Remove(first).ok());
  Open();
  EXPECT_TRUE(State(kA).damaged);
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
TEST_F(StoreCoreTest, Checkpoint_PowerFailsAtEachOperation_NothingIsLost) {
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

TEST_F(StoreCoreTest, Sidecar_FlippedBit_DamagesWithReason) {
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

TEST_F(StoreCoreTest, Sidecar_OfAnotherCluster_IsDamage) {
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

TEST_F(StoreCoreTest, ChunkFile_MissingOrShort_IsDamageWithReason) {
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

TEST_F(StoreCoreTest, ChunkFile_FlippedBit_FoundByReadAndRemembered) {
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

TEST_F(StoreCoreTest, CheckpointFile_Lost_DamagesOpenReplicasKeepsSealedOnes) {
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

TEST_F(StoreCoreTest, Open_IdentityMissingOrNewer_Refused) {
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

TEST_F(StoreCoreTest, Open_PowerFailsAtEachOperationOfTheFirstStart_NextStartSucceeds) {
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

TEST_F(StoreCoreTest, CheckDirectory_SeesWhatAReaderWouldAndChangesNothing) {
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

TEST(Tombstones, Add_TooMany_EverythingBelowTheMiddleCountsAsDeleted) {
  Tombstones tombstones;
  for (uint64_t i = 0; i <= Tombstones::kMost; ++i) tombstones.Add(ChunkHandle(1000 + 2 * i));
  EXPECT_LE(tombstones.handles().size(), Tombstones::kMost / 2 + 1);
  EXPECT_TRUE(tombstones.Contains(ChunkHandle(7)));
  EXPECT_TRUE(tombstones.Contains(ChunkHandle(1001)));
  EXPECT_TRUE(tombstones.Contains(ChunkHandle(1000 + 2 * Tombstones::kMost)));
  EXPECT_FALSE(tombstones.Contains(ChunkHandle(1001 + 2 * Tombstones::kMost)));
}

}  // namespace
}  // namespace appendfs
