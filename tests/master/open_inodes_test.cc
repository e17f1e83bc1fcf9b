#include "master/sessions/open_inodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "master/memory_tables.h"
#include "master/namespace/meta_machine.h"
#include "master/namespace/reads.h"
#include "tests/master/log_helpers.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr ClientId kOne{101}, kTwo{102};
constexpr InodeId kFile{7};

TEST(OpenInodes, TwoClients_BothMustClose) {
  OpenInodes files;
  ASSERT_TRUE(files.Open(kOne, kFile).ok());
  ASSERT_TRUE(files.Open(kOne, kFile).ok());  // again: still once
  ASSERT_TRUE(files.Open(kTwo, kFile).ok());
  files.Close(kOne, kFile);
  EXPECT_TRUE(files.IsOpen(kFile));
  files.Close(kOne, kFile);
  EXPECT_TRUE(files.IsOpen(kFile));
  files.CloseAll(kTwo);
  EXPECT_FALSE(files.IsOpen(kFile));
}

TEST(OpenInodes, Reclaiming_EverythingCountsAsOpen) {
  OpenInodes files;
  files.ExpectReclaim(kOne);
  files.ExpectReclaim(kTwo);
  files.AddOrphan(kFile);
  files.AddOrphan(InodeId(8));
  EXPECT_TRUE(files.IsOpen(InodeId(12345)));
  files.Reclaim(kOne, {kFile});
  EXPECT_THAT(files.TakeOrphans(), IsEmpty());
  files.CloseAll(kTwo);  // it never came back
  EXPECT_FALSE(files.IsOpen(InodeId(12345)));
  EXPECT_THAT(files.TakeOrphans(), ElementsAre(InodeId(8)));
  files.Close(kOne, kFile);
  EXPECT_THAT(files.TakeOrphans(), ElementsAre(kFile));
  EXPECT_THAT(files.TakeOrphans(), IsEmpty());
}

// The rules and the gate together, at the instants that matter.
class OpenFilesGateTest : public ::testing::Test {
 protected:
  OpenFilesGateTest() {
    MetaLogOptions options;
    options.gate = &files_;
    opened_ = OpenMemoryMetaLog(machine_, clock_, options).value();
    client_ = OpenSession(*opened_.log);
    inode_ = InodeId(
        Run(MakeFileOp(client_, ++sequence_, "f")).make_node().entry().attributes().inode());
  }
  v1::MetaResult Run(v1::MetaOp op) { return ProposeAndWait(*opened_.log, std::move(op)).value(); }
  bool Exists() { return GetEntry(*opened_.log->Snapshot(), inode_).ok(); }

  OpenInodes files_;
  MetaMachine machine_;
  ManualClock clock_;
  OpenedMetaLog opened_;
  uint64_t client_ = 0, sequence_ = 0;
  InodeId inode_;
};

TEST_F(OpenFilesGateTest, OpenBeforeUnlink_KeepsTheFile) {
  ASSERT_TRUE(files_.Open(kOne, inode_).ok());
  ASSERT_FALSE(Run(UnlinkFileOp(client_, ++sequence_, "f")).has_error());
  EXPECT_TRUE(Exists());
  EXPECT_THAT(files_.TakeOrphans(), IsEmpty());
  files_.Close(kOne, inode_);
  EXPECT_THAT(files_.TakeOrphans(), ElementsAre(inode_));
}

TEST_F(OpenFilesGateTest, NotOpen_IsPurged) {
  ASSERT_FALSE(Run(UnlinkFileOp(client_, ++sequence_, "f")).has_error());
  EXPECT_FALSE(Exists());
}

TEST_F(OpenFilesGateTest, MadeOpen_IsOpenBeforeAnybodyCanRemoveIt) {
  v1::MetaOp make = MakeFileOp(client_, ++sequence_, "g");
  make.mutable_make_node()->set_open(true);
  uint64_t made = 0;
  absl::Notification done;
  opened_.log->Propose(make, [&](absl::StatusOr<v1::MetaResult> result) {
    made = result->make_node().entry().attributes().inode();
  });
  opened_.log->Propose(UnlinkFileOp(client_, ++sequence_, "g"),
                       [&](absl::StatusOr<v1::MetaResult>) { done.Notify(); });
  done.WaitForNotification();
  EXPECT_TRUE(GetEntry(*opened_.log->Snapshot(), InodeId(made)).ok());
}

TEST_F(OpenFilesGateTest, OpenWhileItIsDecided_WaitsAndFindsItGone) {
  std::unique_ptr<KeyValueReader> tables = opened_.log->Snapshot();
  v1::MetaOp op = UnlinkFileOp(client_, ++sequence_, "f");
  ASSERT_TRUE(files_.Prepare(op, *tables).ok());
  EXPECT_THAT(op.open_inodes(), IsEmpty());
  absl::Status status;
  std::thread opener([&] { status = files_.Open(kOne, inode_); });
  files_.Applied(op, v1::MetaResult());
  opener.join();
  EXPECT_TRUE(HasReason(status, v1::NO_ENTRY));
  files_.Committed();
  EXPECT_FALSE(files_.IsOpen(inode_));
}

TEST_F(OpenFilesGateTest, RefusedUnlink_LeavesTheFileToBeOpened) {
  std::unique_ptr<KeyValueReader> tables = opened_.log->Snapshot();
  v1::MetaOp op = UnlinkFileOp(client_, ++sequence_, "f");
  ASSERT_TRUE(files_.Prepare(op, *tables).ok());
  v1::MetaResult refusal;
  refusal.mutable_error()->set_reason(v1::NOT_DIRECTORY);
  files_.Applied(op, refusal);
  EXPECT_TRUE(files_.Open(kOne, inode_).ok());
}

TEST_F(OpenFilesGateTest, PurgeOfAnOrphanOpenedAgain_IsLeftAlone) {
  ASSERT_TRUE(files_.Open(kOne, inode_).ok());
  ASSERT_FALSE(Run(UnlinkFileOp(client_, ++sequence_, "f")).has_error());
  v1::MetaOp purge;
  purge.mutable_purge_orphans()->add_inodes(inode_.value());
  Run(purge);
  EXPECT_TRUE(Exists());
  files_.Close(kOne, inode_);
  Run(purge);
  EXPECT_FALSE(Exists());
}

// Openers against removers: whoever was told "open" finds the file.
TEST_F(OpenFilesGateTest, OpensAndUnlinksAtOnce_NeverLoseAnOpenFile) {
  for (int round = 0; round < 200; ++round) {
    std::string name = "r" + std::to_string(round);
    InodeId inode(
        Run(MakeFileOp(client_, ++sequence_, name)).make_node().entry().attributes().inode());
    absl::Notification unlinked;
    opened_.log->Propose(UnlinkFileOp(client_, ++sequence_, name),
                         [&](absl::StatusOr<v1::MetaResult>) { unlinked.Notify(); });
    bool opened = files_.Open(kOne, inode).ok() && GetEntry(*opened_.log->Snapshot(), inode).ok();
    unlinked.WaitForNotification();
    EXPECT_EQ(GetEntry(*opened_.log->Snapshot(), inode).ok(), opened) << "round " << round;
    files_.Close(kOne, inode);
  }
}

}  // namespace
}  // namespace appendfs
