#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "master/layout.h"
#include "master/namespace/meta_machine.h"
#include "master/namespace/reads.h"
#include "master/namespace/tables.h"
#include "master/rocksdb_meta_log.h"
#include "master/rocksdb_tables.h"
#include "tests/common/temp_dir.h"
#include "tests/master/log_helpers.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

class RocksDbTest : public ::testing::Test {
 protected:
  RocksDbTest() : directory_(dir_ / "meta") {}

  absl::StatusOr<OpenedMetaLog> Open() { return OpenRocksDbMetaLog(directory_, machine_, clock_); }

  TempDir dir_;
  const std::string directory_;
  MetaMachine machine_;
  SystemClock clock_;
};

TEST_F(RocksDbTest, Restart_KeepsEverything) {
  std::string uuid;
  uint64_t client, inode, index;
  {
    absl::StatusOr<OpenedMetaLog> opened = Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE(opened->created);
    EXPECT_EQ(opened->incarnation, 1u);
    uuid = opened->cluster_uuid;
    client = OpenSession(*opened->log);
    absl::StatusOr<v1::MetaResult> result =
        ProposeAndWait(*opened->log, MakeFileOp(client, 1, "f"));
    inode = result->make_node().entry().attributes().inode();
    index = result->index();
  }
  absl::StatusOr<OpenedMetaLog> opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_FALSE(opened->created);
  EXPECT_EQ(opened->cluster_uuid, uuid);
  EXPECT_EQ(opened->incarnation, 2u);
  absl::StatusOr<v1::Entry> entry = Lookup(*opened->log->Snapshot(), kRootInode, "f");
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->attributes().inode(), inode);
  absl::StatusOr<v1::MetaResult> next = ProposeAndWait(*opened->log, MakeFileOp(client, 2, "g"));
  EXPECT_EQ(next->make_node().entry().attributes().inode(), inode + 1);
  EXPECT_GT(next->index(), index);
}

TEST_F(RocksDbTest, MutationSentAgainAfterARestart_GetsItsFirstAnswer) {
  uint64_t client;
  std::string first;
  {
    absl::StatusOr<OpenedMetaLog> opened = Open();
    client = OpenSession(*opened->log);
    first =
        ProposeAndWait(*opened->log, MakeFileOp(client, 1, "f"))->make_node().SerializeAsString();
    ASSERT_FALSE(ProposeAndWait(*opened->log, UnlinkFileOp(client, 2, "f"))->has_error());
  }
  absl::StatusOr<OpenedMetaLog> opened = Open();
  EXPECT_EQ(
      ProposeAndWait(*opened->log, MakeFileOp(client, 1, "f"))->make_node().SerializeAsString(),
      first);
  EXPECT_FALSE(ProposeAndWait(*opened->log, UnlinkFileOp(client, 2, "f"))->has_error());
  EXPECT_FALSE(Lookup(*opened->log->Snapshot(), kRootInode, "f").ok());
}

TEST_F(RocksDbTest, Snapshot_DoesNotMove) {
  absl::StatusOr<OpenedMetaLog> opened = Open();
  uint64_t client = OpenSession(*opened->log);
  std::unique_ptr<KeyValueReader> before = opened->log->Snapshot();
  ASSERT_FALSE(ProposeAndWait(*opened->log, MakeFileOp(client, 1, "f"))->has_error());
  EXPECT_FALSE(Lookup(*before, kRootInode, "f").ok());
  v1::ReadDirectoryRequest request;
  request.set_inode(1);
  EXPECT_EQ(ReadDirectoryPage(*before, request)->entries_size(), 0);
  EXPECT_EQ(ReadDirectoryPage(*opened->log->Snapshot(), request)->entries_size(), 1);
}

TEST_F(RocksDbTest, SecondProcess_IsKeptOut) {
  absl::StatusOr<OpenedMetaLog> opened = Open();
  absl::StatusOr<OpenedMetaLog> second = Open();
  EXPECT_TRUE(HasReason(second.status(), v1::INPUT_OUTPUT));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(directory_));
}

TEST_F(RocksDbTest, NewerFormat_IsRefused) {
  {
    absl::StatusOr<std::unique_ptr<DurableTables>> tables = OpenRocksDbTables(directory_);
    ASSERT_TRUE(tables.ok()) << tables.status();
    Overlay changes(tables->get());
    PutNumber(changes, layout::kFormatVersionKey, layout::kFormatVersion + 1);
    ASSERT_TRUE((*tables)->Commit(changes).ok());
  }
  absl::Status status = Open().status();
  EXPECT_TRUE(HasReason(status, v1::VERSION_MISMATCH));
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer appendfs-master"));
}

TEST_F(RocksDbTest, LostCurrentFile_IsNotANewCluster) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::remove(directory_ + "/CURRENT");
  absl::Status status = Open().status();
  EXPECT_TRUE(HasReason(status, v1::INPUT_OUTPUT)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("damaged"));
}

TEST_F(RocksDbTest, PlaceThatCannotBeMade_IsNamed) {
  absl::Status status = OpenRocksDbMetaLog("/proc/nowhere", machine_, clock_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("/proc/nowhere"));
}

}  // namespace
}  // namespace appendfs
