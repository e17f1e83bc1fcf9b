#include "common/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "common/pages.h"
#include "tests/common/temp_dir.h"

namespace appendfs {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;
using Mode = FileSystem::OpenMode;

class PosixFileSystemTest : public testing::Test {
 protected:
  std::unique_ptr<LocalFile> Open(const std::string& name, Mode mode = Mode::kCreateOrOpen) {
    auto file = fs_->Open(dir_ / name, mode);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *std::move(file) : nullptr;
  }

  TempDir dir_;
  std::unique_ptr<FileSystem> fs_ = MakePosixFileSystem();
};

TEST_F(PosixFileSystemTest, WriteDurably_SectorsAndOtherSizes_AreAllThere) {
  auto file = Open("a.tmp");
  ASSERT_TRUE(file->Write(0, std::string(200 << 10, '0')).ok());
  ASSERT_TRUE(fs_->Rename(dir_ / "a.tmp", dir_ / "a").ok());
  std::string expected(200 << 10, '0');
  auto write = [&](size_t offset, const std::string& first, const std::string& second) {
    const std::vector<std::string_view> parts = {first, second};
    absl::Status status = file->WriteDurably(offset, parts);
    ASSERT_TRUE(status.ok()) << status;
    expected.replace(offset, first.size() + second.size(), first + second);
  };
  write(512, std::string(100, 'a'), std::string(412, 'b'));         // past the page cache
  write(1024, std::string(90 << 10, 'c'), std::string(1024, 'd'));  // too large for that
  write(1024, std::string(512, 'e'), "");                           // over what the cache has
  write(1500, "odd", "ly placed");
  EXPECT_EQ(ReadWholeFile(*fs_, dir_ / "a").value(), expected);
}

TEST_F(PosixFileSystemTest, WriteAside_AnyPlaceAndSize_IsAllThere) {
  auto file = Open("a");
  std::string expected;
  char letter = 'a';
  auto write = [&](size_t offset, std::vector<size_t> sizes) {
    std::vector<std::string> bytes;
    for (size_t size : sizes) bytes.emplace_back(size, letter++);
    const std::vector<std::string_view> parts(bytes.begin(), bytes.end());
    absl::Status status = file->WriteAside(offset, parts);
    ASSERT_TRUE(status.ok()) << status;
    size_t end = offset;
    for (const std::string& part : bytes) end += part.size();
    expected.resize(std::max(expected.size(), end));
    for (const std::string& part : bytes) {
      expected.replace(offset, part.size(), part);
      offset += part.size();
    }
  };
  write(0, {100, 4'000, 3});                       // short
  write(4'103, {1, 300'000, 5'000, 700'000, 77});  // from within a page to within a page
  write(expected.size(), {1 << 20});
  write(8192, {256 << 10});  // whole pages, over what is there
  EXPECT_TRUE(ReadWholeFile(*fs_, dir_ / "a").value() == expected);
}

TEST_F(PosixFileSystemTest, WriteAside_PartsThatLieInWholePages_AreAllThere) {
  auto file = Open("a");
  constexpr size_t kMiB = 1 << 20;
  const std::shared_ptr<char[]> pages = AllocatePages(3 * kMiB);
  ASSERT_EQ(reinterpret_cast<uintptr_t>(pages.get()) % kPageBytes, 0u);
  for (size_t i = 0; i < 3 * kMiB; ++i) pages[i] = static_cast<char>('a' + i / 1000 % 26);
  const std::string_view all(pages.get(), 3 * kMiB);
  // As they lie, then a part with an odd end, what is moved by it, and an empty one.
  const std::vector<std::string_view> parts = {all.substr(0, kMiB), all.substr(kMiB, 300'001), "",
                                               all.substr(2 * kMiB), all.substr(kMiB, 4096)};
  std::string expected(kPageBytes, '\0');
  for (std::string_view part : parts) expected += part;
  ASSERT_TRUE(file->WriteAside(kPageBytes, parts).ok());
  EXPECT_TRUE(ReadWholeFile(*fs_, dir_ / "a").value() == expected);
}

TEST_F(PosixFileSystemTest, Sync_FileWasRemoved_Fails) {
  auto file = Open("a");
  ASSERT_TRUE(file->Write(0, "abc").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(fs_->Remove(dir_ / "a").ok());
  ASSERT_TRUE(file->Write(0, "abc").ok());
  EXPECT_THAT(std::string(file->Sync().message()), HasSubstr("somebody removed"));
}

TEST_F(PosixFileSystemTest, Write_Parts_FollowEachOther) {
  auto file = Open("a");
  const std::vector<std::string_view> parts = {"one", "", "two", "three"};
  ASSERT_TRUE(file->Write(2, parts).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(file->Size().value(), 13u);
  EXPECT_EQ(ReadWholeFile(*fs_, dir_ / "a").value(), std::string("\0\0onetwothree", 13));
}

TEST_F(PosixFileSystemTest, Write_MorePartsThanOneCallTakes_WritesAll) {
  auto file = Open("a");
  std::string expected;
  std::vector<std::string> owned;
  for (int i = 0; i < 3000; ++i) owned.push_back(std::to_string(i) + ",");
  std::vector<std::string_view> parts(owned.begin(), owned.end());
  for (const auto& part : owned) expected += part;
  ASSERT_TRUE(file->Write(0, parts).ok());
  EXPECT_EQ(ReadWholeFile(*fs_, dir_ / "a").value(), expected);
}

TEST_F(PosixFileSystemTest, Write_NothingOrOnlyEmptyParts_IsOk) {
  auto file = Open("a");
  EXPECT_TRUE(file->Write(0, std::span<const std::string_view>()).ok());
  const std::vector<std::string_view> parts(300, std::string_view());
  EXPECT_TRUE(file->Write(0, parts).ok());
  EXPECT_EQ(file->Size().value(), 0u);
}

TEST_F(PosixFileSystemTest, Write_CutShortByTheKernel_ErrorOfTheRest) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto file = Open("a");
  rlimit small = before;
  small.rlim_cur = 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::vector<std::string_view> parts = {"1234567", "89abcdef"};
  absl::Status status = file->Write(0, parts);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(ReasonOf(status), v1::TOO_LARGE) << status;
  EXPECT_EQ(file->Size().value(), 10u);
}

TEST_F(PosixFileSystemTest, Read_PastTheEnd_IsShort) {
  auto file = Open("a");
  ASSERT_TRUE(file->Write(0, "hello").ok());
  char bytes[16];
  EXPECT_EQ(file->Read(3, bytes, sizeof(bytes)).value(), 2u);
  EXPECT_EQ(file->Read(5, bytes, sizeof(bytes)).value(), 0u);
  EXPECT_EQ(file->Read(500, bytes, sizeof(bytes)).value(), 0u);
}

TEST_F(PosixFileSystemTest, Truncate_CutsAndExtends) {
  auto file = Open("a");
  ASSERT_TRUE(file->Write(0, "hello").ok());
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(ReadWholeFile(*fs_, dir_ / "a").value(), "he");
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(file->Size().value(), 4u);
}

TEST_F(PosixFileSystemTest, Open_Modes_AsDocumented) {
  EXPECT_EQ(ReasonOf(fs_->Open(dir_ / "no", Mode::kRead).status()), v1::NO_ENTRY);
  EXPECT_EQ(ReasonOf(fs_->Open(dir_ / "no", Mode::kReadWrite).status()), v1::NO_ENTRY);
  Open("a", Mode::kCreate);
  EXPECT_EQ(ReasonOf(fs_->Open(dir_ / "a", Mode::kCreate).status()), v1::ENTRY_EXISTS);
  EXPECT_TRUE(fs_->Open(dir_ / "a", Mode::kCreateOrOpen).ok());
  auto reader = Open("a", Mode::kRead);
  EXPECT_FALSE(reader->Write(0, "x").ok());
}

TEST_F(PosixFileSystemTest, Errors_NameThePath) {
  absl::Status status = fs_->Open(dir_ / "no", Mode::kRead).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr((dir_ / "no") + ": No such file"));
}

TEST_F(PosixFileSystemTest, Directories_MakeListRemove) {
  ASSERT_TRUE(fs_->MakeDirectory(dir_ / "d").ok());
  EXPECT_TRUE(fs_->MakeDirectory(dir_ / "d").ok()) << "again";
  Open("d/x");
  Open("d/y");
  EXPECT_FALSE(fs_->MakeDirectory(dir_ / "d/x").ok()) << "a file";
  EXPECT_THAT(fs_->List(dir_ / "d").value(), UnorderedElementsAre("x", "y"));
  EXPECT_EQ(ReasonOf(fs_->Remove(dir_ / "d")), v1::DIRECTORY_NOT_EMPTY);
  EXPECT_TRUE(fs_->Rename(dir_ / "d/x", dir_ / "d/y").ok());
  EXPECT_THAT(fs_->List(dir_ / "d").value(), UnorderedElementsAre("y"));
  EXPECT_TRUE(fs_->SyncDirectory(dir_ / "d").ok());
  EXPECT_FALSE(fs_->SyncDirectory(dir_ / "d/y").ok()) << "not a directory";
  EXPECT_TRUE(fs_->Remove(dir_ / "d/y").ok());
  EXPECT_TRUE(fs_->Remove(dir_ / "d").ok());
  EXPECT_EQ(ReasonOf(fs_->List(dir_ / "d").status()), v1::NO_ENTRY);
}

TEST_F(PosixFileSystemTest, Exists_TellsMissingFromUnknown) {
  EXPECT_FALSE(fs_->Exists(dir_ / "a").value());
  Open("a");
  EXPECT_TRUE(fs_->Exists(dir_ / "a").value());
  EXPECT_EQ(ReasonOf(fs_->Exists(dir_ / "a/below").status()), v1::NOT_DIRECTORY);
}

TEST_F(PosixFileSystemTest, GetSpace_IsPlausible) {
  auto space = fs_->GetSpace(dir_.path());
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->available_bytes, space->total_bytes);
}

TEST_F(PosixFileSystemTest, Lock_SecondHolder_IsToldWhoHasIt) {
  auto lock = fs_->LockFile(dir_ / "LOCK");
  ASSERT_TRUE(lock.ok()) << lock.status();
  auto second = fs_->LockFile(dir_ / "LOCK");
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("held by process " + std::to_string(::getpid())));
  lock->reset();
  EXPECT_TRUE(fs_->LockFile(dir_ / "LOCK").ok());
}

TEST_F(PosixFileSystemTest, Lock_HolderKilled_IsFree) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  pid_t child = ::fork();
  if (child == 0) {
    auto lock = fs_->LockFile(dir_ / "LOCK");
    char byte = lock.ok() ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_FALSE(fs_->LockFile(dir_ / "LOCK").ok());
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(fs_->LockFile(dir_ / "LOCK").ok());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(PosixFileSystemTest, ReplaceFile_NewAndOld_LeavesNothingElse) {
  ASSERT_TRUE(ReplaceFile(*fs_, dir_ / "a", "a long first content").ok());
  ASSERT_TRUE(ReplaceFile(*fs_, dir_ / "a", "second").ok());
  EXPECT_EQ(ReadWholeFile(*fs_, dir_ / "a").value(), "second");
  EXPECT_THAT(fs_->List(dir_.path()).value(), UnorderedElementsAre("a"));
}

TEST_F(PosixFileSystemTest, ReplaceFile_LeftoverOfACrash_IsOverwritten) {
  ASSERT_TRUE(Open("a.tmp")->Write(0, "a very long leftover").ok());
  ASSERT_TRUE(ReplaceFile(*fs_, dir_ / "a", "new").ok());
  EXPECT_EQ(ReadWholeFile(*fs_, dir_ / "a").value(), "new");
}

TEST_F(PosixFileSystemTest, ReplaceFile_OverADirectory_FailsAndCleansUp) {
  ASSERT_TRUE(fs_->MakeDirectory(dir_ / "d").ok());
  EXPECT_FALSE(ReplaceFile(*fs_, dir_ / "d", "new").ok());
  EXPECT_THAT(fs_->List(dir_.path()).value(), UnorderedElementsAre("d"));
}

TEST_F(PosixFileSystemTest, ReadWholeFile_Missing_NoEntry) {
  EXPECT_EQ(ReasonOf(ReadWholeFile(*fs_, dir_ / "no").status()), v1::NO_ENTRY);
}

}  // namespace
}  // namespace appendfs
