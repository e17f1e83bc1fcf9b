// Several data directories as one store: where replicas go, and that a
// directory that fails takes nothing with it but its own.

#include "chunkserver/store/disk_set.h"

#include <glog/logging.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "chunkserver/store/layout.h"
#include "tests/chunkserver/store/store_test_util.h"
#include "tests/common/temp_dir.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr ChunkHandle kA(1), kB(2), kC(3);

// Removes a directory while its store goes on making files there.
void Vanish(const std::string& directory) {
  std::error_code busy;
  while (std::filesystem::exists(directory)) std::filesystem::remove_all(directory, busy);
}

class DiskSetTest : public ::testing::Test {
 protected:
  DiskSetTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;  // failures here are on purpose
    options_.segment_bytes = 1 << 20;
    options_.max_journal_bytes = 8 << 20;
    options_.reserved_bytes = 0;
  }

  absl::Status TryOpen(const std::vector<std::string>& directories) {
    store_.reset();
    auto store = DiskSet::Open(*fs_, clock_, directories, options_);
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    store_->Start(listener_);
    return absl::OkStatus();
  }
  void Open(const std::vector<std::string>& directories) {
    absl::Status status = TryOpen(directories);
    ASSERT_TRUE(status.ok()) << status;
  }
  absl::Status Do(StoreChange change) {
    uint64_t token = ++token_;
    store_->Submit(std::move(change), token);
    return listener_.Wait(token).status;
  }
  void CreateWith(ChunkHandle handle, const std::string& bytes, Epoch epoch = Epoch(1)) {
    ASSERT_TRUE(Do(MakeCreate(handle, epoch)).ok());
    ASSERT_TRUE(Do(MakeAppend(handle, 0, bytes, ClientId(), Sequence(), epoch)).ok());
  }
  std::string Fetch(ChunkHandle handle) {
    auto read = store_->Fetch(handle, 0, 1 << 20);
    return read.ok() ? std::string(read->payload.view()) : read.status().ToString();
  }
  std::vector<uint64_t> Listed() {
    std::vector<uint64_t> handles;
    for (const ReplicaState& state : store_->List(ChunkHandle(), 100))
      handles.push_back(state.identity.handle.value());
    return handles;
  }
  bool Known(ChunkHandle handle) { return store_->State(handle).ok(); }

  TempDir directory_;
  const std::string one_ = directory_ / "one", two_ = directory_ / "two";
  std::unique_ptr<FileSystem> fs_ = MakePosixFileSystem();
  SystemClock clock_;
  StoreOptions options_;
  RecordingListener listener_;
  std::unique_ptr<ChunkStore> store_;
  uint64_t token_ = 0;
};

TEST_F(DiskSetTest, Create_OnDisksAlike_IsSharedOut) {
  Open({one_, two_});
  for (uint64_t i = 1; i <= 10; ++i) CreateWith(ChunkHandle(i), "abc");
  const std::vector<DiskState> disks = store_->disks();
  ASSERT_EQ(disks.size(), 2u);
  EXPECT_EQ(disks[0].directory, one_);
  EXPECT_EQ(disks[0].chunks, 5u);
  EXPECT_EQ(disks[1].chunks, 5u);
  EXPECT_NE(disks[0].id, disks[1].id);
  EXPECT_EQ(store_->usage().chunks, 10u);
  EXPECT_EQ(store_->usage().highest_handle, 10u);
  EXPECT_THAT(Listed(), ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_EQ(store_->List(ChunkHandle(3), 2).front().identity.handle, ChunkHandle(4));
}

TEST_F(DiskSetTest, Reopen_FindsEveryReplicaAgain) {
  Open({one_, two_});
  CreateWith(kA, "aaa");
  CreateWith(kB, "bbb");
  Open({two_, one_});
  EXPECT_EQ(Fetch(kA), "aaa");
  EXPECT_EQ(Fetch(kB), "bbb");
  EXPECT_TRUE(Do(MakeAppend(kB, 3, "more")).ok());
  EXPECT_EQ(Fetch(kB), "bbbmore");
}

TEST_F(DiskSetTest, Delete_IsRememberedWhereverTheNextCreateWouldGo) {
  Open({one_, two_});
  CreateWith(kA, "aaa");
  ASSERT_TRUE(Do(DeleteReplica{kA}).ok());
  EXPECT_FALSE(Known(kA));
  CreateWith(kB, "bbb");
  EXPECT_TRUE(HasReason(Do(MakeCreate(kA)), v1::ENTRY_EXISTS));
  EXPECT_THAT(Listed(), ::testing::ElementsAre(2));
}

TEST_F(DiskSetTest, Import_GoesToADiskAndIsFound) {
  Open({one_, two_});
  for (ChunkHandle handle : {kA, kB}) {
    auto import = store_->BeginImport(MakeCreate(handle).identity, Epoch(2));
    ASSERT_TRUE(import.ok()) << import.status();
    ASSERT_TRUE((*import)->Write("imported").ok());
    ASSERT_TRUE((*import)->Finish(8, Crc32c("imported"), 1, {}).ok());
  }
  {
    auto given_up = store_->BeginImport(MakeCreate(kC).identity, Epoch(2));
    ASSERT_TRUE(given_up.ok());
  }
  EXPECT_EQ(store_->usage().chunks, 2u);
  EXPECT_EQ(store_->disks()[0].chunks, 1u);
  EXPECT_EQ(Fetch(kA), "imported");
  EXPECT_EQ(Fetch(kB), "imported");
}

TEST_F(DiskSetTest, Directory_Vanishes_IsRetiredAlone) {
  Open({one_, two_});
  CreateWith(kA, "aaa");
  CreateWith(kB, "bbb");
  Vanish(one_);
  ASSERT_TRUE(listener_.WaitForLoss(kA));  // without being touched
  EXPECT_FALSE(Known(kA));
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 3, "x")), v1::UNKNOWN_CHUNK));
  EXPECT_TRUE(Do(MakeAppend(kB, 3, "more")).ok());
  EXPECT_EQ(Fetch(kB), "bbbmore");
  CreateWith(kC, "ccc");
  // In the words of the thread that came upon it first.
  EXPECT_THAT(store_->disks()[0].failure,
              AnyOf(HasSubstr("vanished"), HasSubstr("removed"), HasSubstr("No such file")));
  EXPECT_EQ(store_->disks()[0].available_bytes, 0u);
  EXPECT_EQ(store_->disks()[1].failure, "");
  EXPECT_THAT(listener_.failures(), IsEmpty());
  // The same handle may come back, on a disk that works.
  CreateWith(kA, "anew", Epoch(2));
  EXPECT_EQ(Fetch(kA), "anew");
}

TEST_F(DiskSetTest, Directory_VanishesUnderAnAppend_TheAppendFails) {
  Open({one_});
  CreateWith(kA, "aaa");
  Vanish(one_);
  absl::Status status = Do(MakeAppend(kA, 3, "x"));
  EXPECT_FALSE(status.ok());
}

TEST_F(DiskSetTest, LastDirectory_Fails_EverythingIsRefusedAtOnce) {
  Open({one_, two_});
  CreateWith(kA, "aaa");
  CreateWith(kB, "bbb");
  Vanish(one_);
  Vanish(two_);
  ASSERT_TRUE(listener_.WaitForFailure());
  EXPECT_TRUE(listener_.WaitForLoss(kA));
  EXPECT_TRUE(listener_.WaitForLoss(kB));
  EXPECT_TRUE(HasReason(Do(MakeAppend(kA, 3, "x")), v1::INPUT_OUTPUT));
  EXPECT_TRUE(HasReason(Do(MakeCreate(kC)), v1::INPUT_OUTPUT));
  EXPECT_FALSE(store_->BeginImport(MakeCreate(kC).identity, Epoch(1)).ok());
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_EQ(store_->usage().available_bytes, 0u);
}

TEST_F(DiskSetTest, Read_DiskGivesNoBytes_IsRetired) {
  auto* sim = new SimFileSystem();
  fs_.reset(sim);
  ASSERT_TRUE(sim->MakeDirectory("/s").ok());
  Open({"/s/one", "/s/two"});
  CreateWith(kA, "aaa");
  CreateWith(kB, "bbb");
  Open({"/s/one", "/s/two"});  // the bytes are in chunk files now
  sim->FailReads(layout::DataPath("/s/one", kA));
  EXPECT_FALSE(store_->Fetch(kA, 0, 3).ok());
  ASSERT_TRUE(listener_.WaitForLoss(kA));
  EXPECT_EQ(Fetch(kB), "bbb");
  store_.reset();
}

TEST_F(DiskSetTest, Open_DirectoryMissing_LivesOnWithTheOthers) {
  Open({one_, two_});
  ASSERT_TRUE(store_->SetIdentity({"uuid", ServerId(3)}).ok());
  CreateWith(kA, "aaa");
  CreateWith(kB, "bbb");
  store_.reset();
  std::filesystem::rename(one_, directory_ / "unmounted");
  Open({one_, two_});
  EXPECT_FALSE(std::filesystem::exists(one_));
  EXPECT_FALSE(Known(kA));
  EXPECT_EQ(Fetch(kB), "bbb");
  EXPECT_THAT(store_->disks()[0].failure, HasSubstr("is missing"));
  store_.reset();
  std::filesystem::rename(directory_ / "unmounted", one_);
  Open({one_, two_});
  EXPECT_EQ(Fetch(kA), "aaa");
}

TEST_F(DiskSetTest, Open_EmptyDirectory_IsANewDiskOfThisServer) {
  Open({one_});
  ASSERT_TRUE(store_->SetIdentity({"uuid", ServerId(3)}).ok());
  store_.reset();
  std::filesystem::create_directory(two_);
  Open({one_, two_});
  store_.reset();
  Open({two_});
  EXPECT_EQ(store_->identity().server, ServerId(3));
  EXPECT_EQ(store_->identity().cluster_uuid, "uuid");
}

TEST_F(DiskSetTest, Open_DirectoriesOfTwoServers_IsRefused) {
  Open({one_});
  ASSERT_TRUE(store_->SetIdentity({"uuid", ServerId(3)}).ok());
  Open({two_});
  ASSERT_TRUE(store_->SetIdentity({"uuid", ServerId(4)}).ok());
  absl::Status status = TryOpen({one_, two_});
  EXPECT_TRUE(HasReason(status, v1::WRONG_SERVER));
  EXPECT_THAT(std::string(status.message()), HasSubstr("start each server on its own"));
  const std::string three = directory_ / "three";
  Open({three});
  ASSERT_TRUE(store_->SetIdentity({"other", ServerId(3)}).ok());
  EXPECT_TRUE(HasReason(TryOpen({one_, three}), v1::WRONG_CLUSTER));
}

TEST_F(DiskSetTest, Open_NamedTwiceOrInUse_IsRefused) {
  EXPECT_TRUE(HasReason(TryOpen({one_, one_ + "/"}), v1::INVALID));
  EXPECT_TRUE(HasReason(TryOpen({}), v1::INVALID));
  Open({one_});
  EXPECT_TRUE(
      HasReason(DiskSet::Open(*fs_, clock_, {two_, one_}, options_).status(), v1::NOT_READY));
}

TEST_F(DiskSetTest, Open_ReplicaInBoth_TheNewerIsKept) {
  Open({one_});
  CreateWith(kA, "older, but longer");
  CreateWith(kB, "sealed");
  ASSERT_TRUE(Do(ConformReplica{.handle = kB, .epoch = Epoch(3), .length = 6, .seal = true}).ok());
  Open({two_});
  CreateWith(kA, "newer", Epoch(2));
  CreateWith(kB, "not sealed", Epoch(2));
  for (int start = 0; start < 2; ++start) {
    Open({one_, two_});
    EXPECT_EQ(Fetch(kA), "newer");
    EXPECT_EQ(Fetch(kB), "sealed");
    EXPECT_THAT(Listed(), ::testing::ElementsAre(1, 2));
  }
  Open({one_});
  EXPECT_FALSE(Known(kA));
}

}  // namespace
}  // namespace appendfs
