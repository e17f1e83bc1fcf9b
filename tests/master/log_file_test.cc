#include "master/log_file.h"

#include <gtest/gtest.h>

#include "tests/master/memory_file.h"

namespace appendfs {
namespace {

class LogFileTest : public ::testing::Test {
 protected:
  std::string Durable() const { return file_.durable.substr(0, log_.size()); }

  FileBytes file_;
  LogFile log_{std::make_unique<MemoryFile>(file_)};
};

TEST_F(LogFileTest, Sync_MakesDurableWhatWasAppended) {
  std::string all;
  for (size_t size : {1, 7, 504, 1, 511, 512, 513, 5000, 70000, 3, 2 << 20, 9}) {
    const std::string part(size, static_cast<char>('a' + all.size() % 26));
    log_.Append(part);
    EXPECT_EQ(Durable().substr(0, all.size()), all);
    all += part;
    ASSERT_TRUE(log_.Sync().ok());
    EXPECT_EQ(log_.size(), all.size());
    ASSERT_EQ(Durable(), all);
    EXPECT_EQ(file_.durable.find_first_not_of('\0', all.size()), std::string::npos);
  }
}

TEST_F(LogFileTest, Sync_FindsTheSpaceThatWasMade) {
  log_.Append("a");
  ASSERT_TRUE(log_.Sync().ok());
  const size_t length = file_.durable.size();
  EXPECT_GT(length, LogFile::kAheadBytes);
  for (int i = 0; i < 100; ++i) {
    log_.Append("some more");
    const int before = file_.syncs;
    ASSERT_TRUE(log_.Sync().ok());
    EXPECT_EQ(file_.syncs, before + 1);
    EXPECT_EQ(file_.durable.size(), length);
  }
}

TEST_F(LogFileTest, Sync_WithoutAnythingNew_LeavesTheFileAlone) {
  log_.Append("a");
  ASSERT_TRUE(log_.Sync().ok());
  const int before = file_.syncs;
  ASSERT_TRUE(log_.Sync().ok());
  EXPECT_EQ(file_.syncs, before);
}

TEST_F(LogFileTest, SyncThatFailed_IsNeverTriedAgain) {
  log_.Append("a");
  ASSERT_TRUE(log_.Sync().ok());
  file_.sync_fails = true;
  log_.Append("b");
  EXPECT_FALSE(log_.Sync().ok());
  file_.sync_fails = false;
  EXPECT_FALSE(log_.Sync().ok());
  log_.Append("c");
  EXPECT_FALSE(log_.Sync().ok());
  EXPECT_FALSE(log_.Close().ok());
}

TEST_F(LogFileTest, SpaceWhoseSyncFails_FailsTheLog) {
  file_.sync_fails = true;
  log_.Append("a");
  EXPECT_FALSE(log_.Sync().ok());
  file_.sync_fails = false;
  EXPECT_FALSE(log_.Sync().ok());
}

TEST_F(LogFileTest, FullDisk_IsToldWhenTheSpaceIsUsedUp) {
  log_.Append("a");
  ASSERT_TRUE(log_.Sync().ok());
  file_.full = true;
  log_.Append(std::string(LogFile::kAheadBytes / 2, 'b'));
  ASSERT_TRUE(log_.Sync().ok());
  log_.Append(std::string(LogFile::kAheadBytes, 'c'));
  EXPECT_EQ(ToErrno(log_.Sync()), ENOSPC);
}

TEST_F(LogFileTest, Close_LeavesTheRecordsAlone) {
  log_.Append("synced");
  ASSERT_TRUE(log_.Sync().ok());
  log_.Append(" and not");
  ASSERT_TRUE(log_.Close().ok());
  EXPECT_EQ(file_.bytes, "synced and not");
}

TEST(LogFile_WithoutRoomForZeros, Sync_GrowsTheFile) {
  // The disk takes the log's own bytes, but not what would lie ahead of them.
  class NarrowFile final : public LocalFile {
   public:
    explicit NarrowFile(FileBytes& of) : file_(of) {}
    absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) override {
      return file_.Write(offset, parts);
    }
    absl::Status WriteAside(uint64_t, std::span<const std::string_view>) override {
      return ErrnoError("write", "f", ENOSPC);
    }
    absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const override {
      return file_.Read(offset, into, length);
    }
    absl::Status Sync() override { return file_.Sync(); }
    absl::StatusOr<uint64_t> Size() const override { return file_.Size(); }
    absl::Status Truncate(uint64_t length) override { return file_.Truncate(length); }

   private:
    MemoryFile file_;
  };
  FileBytes bytes;
  LogFile log(std::make_unique<NarrowFile>(bytes));
  for (const char* part : {"one", "two"}) {
    log.Append(part);
    ASSERT_TRUE(log.Sync().ok());
  }
  EXPECT_EQ(bytes.durable, "onetwo");
}

}  // namespace
}  // namespace appendfs
