#include "common/lossy_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/str_cat.h"
#include "tests/common/temp_dir.h"

namespace appendfs {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Mode = FileSystem::OpenMode;

class LossyFileSystemTest : public ::testing::Test {
 protected:
  LossyFileSystemTest() { Kill(); }

  // As kill -9 of the process: what was in memory is gone.
  void Kill() { fs_ = std::make_unique<LossyFileSystem>(MakePosixFileSystem()); }

  std::string Path(const std::string& name) { return StrCat(directory_.path(), "/", name); }
  std::unique_ptr<File> Open(const std::string& name, Mode mode = Mode::kCreateOrOpen) {
    auto file = fs_->Open(Path(name), mode);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  void Make(const std::string& name, std::string_view bytes) {
    auto file = Open(name);
    EXPECT_TRUE(file->Write(0, bytes).ok());
    EXPECT_TRUE(file->Sync().ok());
  }
  void SyncNames() { EXPECT_TRUE(fs_->SyncDirectory(directory_.path()).ok()); }
  std::string Content(const std::string& name) {
    auto content = ReadWholeFile(*fs_, Path(name));
    return content.ok() ? *content : std::string(FromAbsl(content.status().message()));
  }
  std::vector<std::string> Names() { return fs_->List(directory_.path()).value(); }

  TempDir directory_;
  std::unique_ptr<LossyFileSystem> fs_;
};

TEST_F(LossyFileSystemTest, Write_NotSynced_SeenAndLost) {
  Make("f", "durable");
  SyncNames();
  {
    auto file = Open("f");
    ASSERT_TRUE(file->Write(3, "ABLEST").ok());
  }
  EXPECT_EQ(Content("f"), "durABLEST");
  Kill();
  EXPECT_EQ(Content("f"), "durable");
}

TEST_F(LossyFileSystemTest, Write_ClosedAndSyncedThroughAnother_Durable) {
  Make("f", "");
  SyncNames();
  Open("f")->Write(0, "late").IgnoreError();
  ASSERT_TRUE(Open("f")->Sync().ok());
  Kill();
  EXPECT_EQ(Content("f"), "late");
}

TEST_F(LossyFileSystemTest, Truncate_NotSynced_Lost) {
  Make("f", "0123456789");
  SyncNames();
  auto file = Open("f");
  ASSERT_TRUE(file->Truncate(4).ok());
  ASSERT_TRUE(file->Truncate(6).ok());
  EXPECT_EQ(Content("f"), std::string("0123\0\0", 6));
  file.reset();
  Kill();
  EXPECT_EQ(Content("f"), "0123456789");
  file = Open("f");
  ASSERT_TRUE(file->Truncate(4).ok());
  ASSERT_TRUE(file->Truncate(6).ok());
  ASSERT_TRUE(file->Sync().ok());
  Kill();
  EXPECT_EQ(Content("f"), std::string("0123\0\0", 6));
}

TEST_F(LossyFileSystemTest, Create_DirectoryNotSynced_Lost) {
  Make("f", "synced bytes of a name that is not");
  EXPECT_THAT(Names(), UnorderedElementsAre("f"));
  Kill();
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LossyFileSystemTest, Rename_OverAnother_WholeOrNot) {
  Make("f", "old");
  SyncNames();
  Make("f.tmp", "new");
  ASSERT_TRUE(fs_->Rename(Path("f.tmp"), Path("f")).ok());
  EXPECT_EQ(Content("f"), "new");
  Kill();
  EXPECT_EQ(Content("f"), "old");
  EXPECT_THAT(Names(), UnorderedElementsAre("f"));
  Make("f.tmp", "new");
  ASSERT_TRUE(fs_->Rename(Path("f.tmp"), Path("f")).ok());
  SyncNames();
  Kill();
  EXPECT_EQ(Content("f"), "new");
  EXPECT_THAT(Names(), UnorderedElementsAre("f"));
}

TEST_F(LossyFileSystemTest, Rename_InACircle_EachKeepsItsBytes) {
  Make("a", "1");
  Make("b", "2");
  SyncNames();
  ASSERT_TRUE(fs_->Rename(Path("a"), Path("c")).ok());
  ASSERT_TRUE(fs_->Rename(Path("b"), Path("a")).ok());
  ASSERT_TRUE(fs_->Rename(Path("c"), Path("b")).ok());
  SyncNames();
  Kill();
  EXPECT_EQ(Content("a"), "2");
  EXPECT_EQ(Content("b"), "1");
  EXPECT_THAT(Names(), UnorderedElementsAre("a", "b"));
}

TEST_F(LossyFileSystemTest, Remove_DirectoryNotSynced_ComesBack) {
  Make("f", "still here");
  SyncNames();
  ASSERT_TRUE(fs_->Remove(Path("f")).ok());
  EXPECT_FALSE(fs_->Exists(Path("f")).value());
  Kill();
  EXPECT_EQ(Content("f"), "still here");
  ASSERT_TRUE(fs_->Remove(Path("f")).ok());
  SyncNames();
  Kill();
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LossyFileSystemTest, Bytes_AtRandom_AsOfThoseInMemory) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(StrCat("seed ", seed));
  std::mt19937 random(seed);
  Make("f", "");
  SyncNames();
  std::string now, durable;
  auto file = Open("f");
  for (int step = 0; step < 3000; ++step) {
    const size_t at = random() % 200, length = random() % 60;
    switch (random() % 8) {
      case 0: {
        now.resize(at);
        ASSERT_TRUE(file->Truncate(at).ok());
        break;
      }
      case 1:
        durable = now;
        ASSERT_TRUE(file->Sync().ok());
        break;
      case 2:
        if (random() % 10 != 0) break;
        file.reset();
        Kill();
        now = durable;
        file = Open("f");
        break;
      default: {
        const std::string bytes(length, static_cast<char>('a' + step % 26));
        if (!bytes.empty() && now.size() < at + length) now.resize(at + length);
        now.replace(at < now.size() ? at : now.size(), length, bytes);
        ASSERT_TRUE(file->Write(at, bytes).ok());
      }
    }
    ASSERT_EQ(Content("f"), now) << "step " << step;
  }
}

}  // namespace
}  // namespace appendfs
