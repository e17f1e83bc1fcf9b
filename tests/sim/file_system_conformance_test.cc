// What every FileSystem keeps to: the real one, the one that loses what was not
// synced, and the simulated one; and what the latter does when its power fails.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/lossy_file_system.h"
#include "tests/common/temp_dir.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs {
namespace {

using ::testing::UnorderedElementsAre;
using Mode = FileSystem::OpenMode;

struct Subject {
  virtual ~Subject() = default;
  virtual FileSystem& fs() = 0;
  virtual std::string root() = 0;
};
struct PosixSubject final : Subject {
  FileSystem& fs() override { return *file_system; }
  std::string root() override { return directory.path(); }
  TempDir directory;
  std::unique_ptr<FileSystem> file_system = MakePosixFileSystem();
};
struct LossySubject final : Subject {
  FileSystem& fs() override { return file_system; }
  std::string root() override { return directory.path(); }
  TempDir directory;
  LossyFileSystem file_system{MakePosixFileSystem()};
};
struct SimSubject final : Subject {
  SimSubject() { EXPECT_TRUE(file_system.MakeDirectory("/data").ok()); }
  FileSystem& fs() override { return file_system; }
  std::string root() override { return "/data"; }
  SimFileSystem file_system;
};

class FileSystemConformance : public ::testing::TestWithParam<const char*> {
 protected:
  FileSystemConformance() {
    const std::string_view which = GetParam();
    if (which == "Sim")
      subject_ = std::make_unique<SimSubject>();
    else if (which == "Lossy")
      subject_ = std::make_unique<LossySubject>();
    else
      subject_ = std::make_unique<PosixSubject>();
  }
  FileSystem& fs() { return subject_->fs(); }
  std::string Path(const std::string& name) { return subject_->root() + "/" + name; }
  std::unique_ptr<File> Make(const std::string& name, std::string_view bytes = "") {
    auto file = fs().Open(Path(name), Mode::kCreate);
    EXPECT_TRUE(file.ok()) << file.status();
    if (!bytes.empty()) EXPECT_TRUE((*file)->Write(0, bytes).ok());
    return *std::move(file);
  }
  std::string Content(const std::string& name) {
    auto content = ReadWholeFile(fs(), Path(name));
    EXPECT_TRUE(content.ok()) << content.status();
    return content.value_or("");
  }

 private:
  std::unique_ptr<Subject> subject_;
};

TEST_P(FileSystemConformance, Open_ModesAgainstWhatIsThere) {
  EXPECT_TRUE(HasReason(fs().Open(Path("a"), Mode::kRead).status(), v1::NO_ENTRY));
  EXPECT_TRUE(HasReason(fs().Open(Path("a"), Mode::kReadWrite).status(), v1::NO_ENTRY));
  EXPECT_TRUE(fs().Open(Path("a"), Mode::kCreate).ok());
  EXPECT_TRUE(HasReason(fs().Open(Path("a"), Mode::kCreate).status(), v1::ENTRY_EXISTS));
  EXPECT_TRUE(fs().Open(Path("a"), Mode::kCreateOrOpen).ok());
  EXPECT_TRUE(fs().Open(Path("a"), Mode::kRead).ok());
  EXPECT_TRUE(HasReason(fs().Open(Path("no/a"), Mode::kCreate).status(), v1::NO_ENTRY));
}

TEST_P(FileSystemConformance, Write_Parts_AreReadBack) {
  auto file = Make("a");
  const std::string_view parts[] = {"one ", "", "two ", "three"};
  ASSERT_TRUE(file->Write(4, parts).ok());
  EXPECT_EQ(Content("a"), std::string(4, '\0') + "one two three");
  EXPECT_EQ(*file->Size(), 17u);
  ASSERT_TRUE(file->Sync().ok());
  char buffer[32];
  EXPECT_EQ(*file->Read(12, buffer, sizeof(buffer)), 5u);
  EXPECT_EQ(*file->Read(17, buffer, sizeof(buffer)), 0u);
  EXPECT_EQ(*file->Read(99, buffer, sizeof(buffer)), 0u);
}

TEST_P(FileSystemConformance, Write_ManyParts_NoneLost) {
  auto file = Make("a");
  std::vector<std::string> strings;
  for (int i = 0; i < 3000; ++i) strings.push_back(std::to_string(i) + ",");
  std::vector<std::string_view> parts(strings.begin(), strings.end());
  ASSERT_TRUE(file->Write(0, parts).ok());
  std::string expected;
  for (const std::string& part : strings) expected += part;
  EXPECT_EQ(Content("a"), expected);
}

TEST_P(FileSystemConformance, Truncate_ShorterAndLonger) {
  auto file = Make("a", "abcdef");
  ASSERT_TRUE(file->Truncate(3).ok());
  EXPECT_EQ(Content("a"), "abc");
  ASSERT_TRUE(file->Truncate(5).ok());
  EXPECT_EQ(Content("a"), std::string("abc\0\0", 5));
}

TEST_P(FileSystemConformance, Rename_ReplacesAndKeepsOpenFiles) {
  auto a = Make("a", "new");
  auto b = Make("b", "old");
  ASSERT_TRUE(fs().Rename(Path("a"), Path("b")).ok());
  EXPECT_FALSE(*fs().Exists(Path("a")));
  EXPECT_EQ(Content("b"), "new");
  char buffer[8];
  EXPECT_EQ(*b->Read(0, buffer, sizeof(buffer)), 3u);
  EXPECT_EQ(std::string(buffer, 3), "old");
  EXPECT_TRUE(HasReason(fs().Rename(Path("a"), Path("c")), v1::NO_ENTRY));
  EXPECT_TRUE(fs().SyncDirectory(Path("")).ok());
}

TEST_P(FileSystemConformance, Remove_OpenFileStaysReadable) {
  auto a = Make("a", "bytes");
  ASSERT_TRUE(fs().Remove(Path("a")).ok());
  EXPECT_FALSE(*fs().Exists(Path("a")));
  EXPECT_TRUE(HasReason(fs().Remove(Path("a")), v1::NO_ENTRY));
  char buffer[8];
  EXPECT_EQ(*a->Read(0, buffer, sizeof(buffer)), 5u);
}

TEST_P(FileSystemConformance, Directories_MadeListedRemoved) {
  ASSERT_TRUE(fs().MakeDirectory(Path("d")).ok());
  ASSERT_TRUE(fs().MakeDirectory(Path("d")).ok());
  Make("d/x");
  Make("d/y");
  EXPECT_THAT(*fs().List(Path("d")), UnorderedElementsAre("x", "y"));
  EXPECT_TRUE(HasReason(fs().List(Path("e")).status(), v1::NO_ENTRY));
  EXPECT_FALSE(fs().Remove(Path("d")).ok());
  EXPECT_TRUE(fs().SyncDirectory(Path("d")).ok());
  EXPECT_FALSE(fs().SyncDirectory(Path("e")).ok());
  ASSERT_TRUE(fs().Remove(Path("d/x")).ok());
  ASSERT_TRUE(fs().Remove(Path("d/y")).ok());
  EXPECT_TRUE(fs().Remove(Path("d")).ok());
}

TEST_P(FileSystemConformance, LockFile_SecondHolderIsRefused) {
  auto first = fs().LockFile(Path("lock"));
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(fs().LockFile(Path("lock")).ok());
  first->reset();
  EXPECT_TRUE(fs().LockFile(Path("lock")).ok());
}

TEST_P(FileSystemConformance, ReplaceFile_SecondContentWins) {
  ASSERT_TRUE(ReplaceFile(fs(), Path("f"), "first").ok());
  ASSERT_TRUE(ReplaceFile(fs(), Path("f"), "2nd").ok());
  EXPECT_EQ(Content("f"), "2nd");
  EXPECT_THAT(*fs().List(Path("")), UnorderedElementsAre("f"));
}

TEST_P(FileSystemConformance, GetSpace_MoreInTotalThanAvailable) {
  auto space = fs().GetSpace(Path(""));
  ASSERT_TRUE(space.ok());
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->available_bytes, space->total_bytes);
}

INSTANTIATE_TEST_SUITE_P(All, FileSystemConformance, ::testing::Values("Posix", "Lossy", "Sim"),
                         [](const auto& info) { return info.param; });

class SimPower : public ::testing::Test {
 protected:
  SimPower() {
    EXPECT_TRUE(fs_.MakeDirectory("/d").ok());
    EXPECT_TRUE(fs_.SyncDirectory("/").ok());
  }
  std::unique_ptr<File> MakeDurable(const std::string& path, std::string_view bytes) {
    auto file = fs_.Open(path, Mode::kCreate);
    EXPECT_TRUE((*file)->Write(0, bytes).ok());
    EXPECT_TRUE((*file)->Sync().ok());
    EXPECT_TRUE(fs_.SyncDirectory("/d").ok());
    return *std::move(file);
  }
  SimFileSystem fs_;
};

TEST_F(SimPower, Crash_SyncedBytesAndNames_AreThere) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::string path = "/d/f" + std::to_string(seed);
    MakeDurable(path, "kept");
    fs_.Crash(seed);
    EXPECT_EQ(*ReadWholeFile(fs_, path), "kept");
  }
}

TEST_F(SimPower, Crash_UnsyncedBytes_SurviveInAnySectors) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::string path = "/d/f" + std::to_string(seed);
    auto file = MakeDurable(path, std::string(1536, 'a'));
    ASSERT_TRUE(file->Write(0, std::string(1536, 'b')).ok());
    fs_.Crash(seed);
    std::string content = *ReadWholeFile(fs_, path);
    ASSERT_EQ(content.size(), 1536u);
    std::string sectors;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(content.substr(512 * i, 512), std::string(512, content[512 * i]));
      sectors += content[512 * i];
    }
    seen.insert(sectors);
    EXPECT_FALSE(file->Sync().ok());  // opened before the crash
  }
  EXPECT_EQ(seen.size(), 8u);
}

TEST_F(SimPower, Crash_UnsyncedNames_SurviveOrNot) {
  int made = 0, renamed = 0, removed = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::string suffix = std::to_string(seed);
    MakeDurable("/d/from" + suffix, "x");
    MakeDurable("/d/gone" + suffix, "x");
    ASSERT_TRUE(fs_.Open("/d/new" + suffix, Mode::kCreate).ok());
    ASSERT_TRUE(fs_.Rename("/d/from" + suffix, "/d/to" + suffix).ok());
    ASSERT_TRUE(fs_.Remove("/d/gone" + suffix).ok());
    fs_.Crash(seed);
    made += *fs_.Exists("/d/new" + suffix);
    EXPECT_NE(*fs_.Exists("/d/from" + suffix), *fs_.Exists("/d/to" + suffix));
    renamed += *fs_.Exists("/d/to" + suffix);
    removed += !*fs_.Exists("/d/gone" + suffix);
  }
  for (int count : {made, renamed, removed}) {
    EXPECT_GT(count, 10);
    EXPECT_LT(count, 90);
  }
}

TEST_F(SimPower, FailPowerAfter_NothingWorksUntilCrash) {
  auto file = MakeDurable("/d/f", "x");
  fs_.FailPowerAfter(2);
  EXPECT_TRUE(file->Write(0, "y").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(fs_.power_is_off());
  EXPECT_FALSE(file->Write(0, "z").ok());
  EXPECT_FALSE(fs_.Exists("/d/f").ok());
  fs_.Crash(1);
  EXPECT_TRUE(*fs_.Exists("/d/f"));
}

TEST_F(SimPower, Kill_LosesNothingUntilThePowerFails) {
  int kept = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::string path = "/d/f" + std::to_string(seed);
    auto file = MakeDurable(path, "x");
    ASSERT_TRUE(file->Write(0, "y").ok());
    fs_.Kill();
    EXPECT_FALSE(file->Sync().ok());  // opened before
    EXPECT_EQ(*ReadWholeFile(fs_, path), "y");
    fs_.Crash(seed);
    kept += *ReadWholeFile(fs_, path) == "y";
  }
  EXPECT_GT(kept, 5);
  EXPECT_LT(kept, 45);
}

TEST_F(SimPower, Sync_Failed_ForsakesTheBytesUntilTheyAreWrittenAgain) {
  int kept = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::string path = "/d/f" + std::to_string(seed);
    auto file = MakeDurable(path, "xx");
    ASSERT_TRUE(file->Write(0, "y").ok());
    fs_.FailSyncAfter(1);
    EXPECT_FALSE(file->Sync().ok());
    EXPECT_TRUE(file->Sync().ok());  // and made nothing durable
    EXPECT_EQ(*ReadWholeFile(fs_, path), "yx");
    const bool again = seed % 2 == 0;
    if (again) {
      ASSERT_TRUE(file->Write(0, "y").ok());
      EXPECT_TRUE(file->Sync().ok());
    }
    fs_.Crash(seed);
    const bool there = *ReadWholeFile(fs_, path) == "yx";
    EXPECT_TRUE(there || !again);
    kept += there && !again;
  }
  EXPECT_LT(kept, 10);
}

TEST_F(SimPower, Faults_SyncWriteReadSpace) {
  auto file = MakeDurable("/d/f", "x");
  fs_.FailSyncAfter(1);
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok());
  fs_.FailWriteAfter(2);
  EXPECT_TRUE(file->Write(0, "y").ok());
  EXPECT_FALSE(file->Write(0, "z").ok());
  fs_.SetCapacity(10);
  EXPECT_TRUE(HasReason(file->Write(0, std::string(11, 'x')), v1::NO_SPACE));
  ASSERT_TRUE(fs_.FlipBit("/d/f", 0, 0).ok());
  EXPECT_EQ(*ReadWholeFile(fs_, "/d/f"), "x");
  fs_.FailReads("/d/f");
  EXPECT_FALSE(ReadWholeFile(fs_, "/d/f").ok());
}

}  // namespace
}  // namespace appendfs
