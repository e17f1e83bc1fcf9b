#include "fuse/directory_handle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common/str_cat.h"
#include "tests/fuse/fake_client.h"

namespace appendfs::fuse {
namespace {

class DirectoryHandleTest : public testing::Test {
 protected:
  void Fill(int count) {
    for (int i = 0; i < count; ++i)
      ASSERT_TRUE(client_.MakeNode(inode_, StrCat("f", 10000 + i), {}).ok());
  }
  // Names from `offset` on, at most `limit`; leaves the offset after them.
  std::vector<std::string> Read(DirectoryHandle& handle, uint64_t& offset, size_t limit) {
    std::vector<std::string> names;
    EXPECT_TRUE(handle
                    .Read(offset,
                          [&](const DirectoryEntry& entry, uint64_t next) {
                            if (names.size() == limit) return false;
                            names.push_back(entry.name);
                            offset = next;
                            return true;
                          })
                    .ok());
    return names;
  }

  // All of it from the start, `step` names at a time, and the offset before each.
  std::map<std::string, uint64_t> ReadAll(DirectoryHandle& handle, size_t step) {
    std::map<std::string, uint64_t> before;
    for (uint64_t offset = 0;;) {
      const uint64_t at = offset;
      const std::vector<std::string> names = Read(handle, offset, step);
      if (names.empty()) return before;
      for (const std::string& name : names)
        EXPECT_TRUE(before.emplace(name, at).second) << name << " came twice";
    }
  }

  FakeClient client_;
  const InodeId inode_ = client_.MakeNode(kRootInode, "d", {.type = v1::DIRECTORY})->status.inode;
};

TEST_F(DirectoryHandleTest, EmptyDirectory_HasDots) {
  DirectoryHandle handle(client_, inode_, false);
  ASSERT_TRUE(handle.Open().ok());
  uint64_t offset = 0;
  EXPECT_EQ(Read(handle, offset, 10), (std::vector<std::string>{".", ".."}));
  EXPECT_TRUE(Read(handle, offset, 10).empty());
  EXPECT_EQ(client_.directory_reads(), 1u);
}

TEST_F(DirectoryHandleTest, Dots_NameTheInodes) {
  DirectoryHandle handle(client_, inode_, false);
  ASSERT_TRUE(handle.Open().ok());
  std::vector<InodeId> inodes;
  ASSERT_TRUE(handle
                  .Read(0,
                        [&](const DirectoryEntry& entry, uint64_t) {
                          inodes.push_back(entry.inode);
                          return true;
                        })
                  .ok());
  EXPECT_EQ(inodes, (std::vector<InodeId>{inode_, kRootInode}));
}

TEST_F(DirectoryHandleTest, ManyEntries_ComeOnceInOrderAcrossPages) {
  Fill(2500);
  DirectoryHandle handle(client_, inode_, false);
  ASSERT_TRUE(handle.Open().ok());
  std::vector<std::string> all;
  for (uint64_t offset = 0;;) {
    const std::vector<std::string> names = Read(handle, offset, 7);
    if (names.empty()) break;
    all.insert(all.end(), names.begin(), names.end());
  }
  ASSERT_EQ(all.size(), 2502u);
  EXPECT_EQ(all[2], "f10000");
  EXPECT_EQ(all.back(), "f12499");
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

TEST_F(DirectoryHandleTest, SeekBack_FindsTheSameEntriesDespiteChanges) {
  Fill(20);
  DirectoryHandle handle(client_, inode_, false);
  ASSERT_TRUE(handle.Open().ok());
  uint64_t offset = 0;
  Read(handle, offset, 10);
  const uint64_t middle = offset;
  const std::vector<std::string> first = Read(handle, offset, 5);
  ASSERT_TRUE(client_.Unlink(inode_, "f10001").ok());
  offset = middle;
  EXPECT_EQ(Read(handle, offset, 5), first);
}

// What is read again from far back is no longer kept.
class FarBackTest : public DirectoryHandleTest {
 protected:
  static constexpr int kCount = 20'000;

  void SetUp() override {
    Fill(kCount);
    ASSERT_TRUE(handle_.Open().ok());
    offsets_ = ReadAll(handle_, 1);
    ASSERT_EQ(offsets_.size(), kCount + 2u);
  }
  static std::string Name(int number) { return StrCat("f", 10000 + number); }
  // The names that come when the reader goes back to before this one.
  std::vector<std::string> GoBackTo(int number, size_t limit) {
    uint64_t offset = offsets_.at(Name(number));
    return Read(handle_, offset, limit);
  }

  DirectoryHandle handle_{client_, inode_, false};
  std::map<std::string, uint64_t> offsets_;
};

TEST_F(FarBackTest, EveryPage_IsFetchedOnce) {
  EXPECT_EQ(client_.directory_reads(), kCount / DirectoryHandle::kPageEntries);
  GoBackTo(kCount - 3000, 10);  // kept
  EXPECT_EQ(client_.directory_reads(), kCount / DirectoryHandle::kPageEntries);
  GoBackTo(1500, 10);  // not kept
  EXPECT_EQ(client_.directory_reads(), kCount / DirectoryHandle::kPageEntries + 1);
}

TEST_F(FarBackTest, AnyOrderOfPlaces_FindsTheSameEntries) {
  for (int number : {1500, 19'999, 0, 999, 1000, 1001, 7777, 12'345, 3, 19'000})
    EXPECT_EQ(GoBackTo(number, 1), std::vector<std::string>{Name(number)});
}

TEST_F(FarBackTest, RestAfterAPlace_ComesOnceToTheEnd) {
  uint64_t offset = offsets_.at(Name(500));
  int number = 500;
  for (std::vector<std::string> names; !(names = Read(handle_, offset, 300)).empty();)
    for (const std::string& name : names) EXPECT_EQ(name, Name(number++));
  EXPECT_EQ(number, kCount);
}

TEST_F(FarBackTest, NamesRemovedAndAddedBeforeThePlace_DoNotMoveIt) {
  for (int i = 1000; i < 1400; i += 2) ASSERT_TRUE(client_.Unlink(inode_, Name(i)).ok());
  EXPECT_EQ(GoBackTo(1500, 2), (std::vector<std::string>{Name(1500), Name(1501)}));
  for (int i = 0; i < 1800; ++i)
    ASSERT_TRUE(client_.MakeNode(inode_, StrCat(Name(2100), "-", 10000 + i), {}).ok());
  EXPECT_EQ(GoBackTo(2500, 2), (std::vector<std::string>{Name(2500), Name(2501)}));
}

TEST_F(FarBackTest, EntryOfThePlaceRemoved_LeavesNothingOut) {
  ASSERT_TRUE(client_.Unlink(inode_, Name(1499)).ok());
  const std::vector<std::string> names = GoBackTo(1500, 600);
  EXPECT_EQ(names.front(), Name(1000));
  EXPECT_EQ(std::count(names.begin(), names.end(), Name(1500)), 1);
}

TEST_F(FarBackTest, PageWhoseNamesAreAllGone_IsPassed) {
  for (int i = 1000; i < 2000; ++i) ASSERT_TRUE(client_.Unlink(inode_, Name(i)).ok());
  EXPECT_EQ(GoBackTo(1500, 1), std::vector<std::string>{Name(2000)});
}

TEST_F(DirectoryHandleTest, PlaceThatWasNeverGiven_IsInvalid) {
  Fill(3);
  DirectoryHandle handle(client_, inode_, false);
  ASSERT_TRUE(handle.Open().ok());
  for (const uint64_t offset : {uint64_t{77}, uint64_t{1} << 62}) {
    const absl::Status read =
        handle.Read(offset, [](const DirectoryEntry&, uint64_t) { return true; });
    EXPECT_TRUE(HasReason(read, v1::INVALID)) << offset;
  }
}

TEST_F(DirectoryHandleTest, Rewind_SeesChanges) {
  Fill(3);
  DirectoryHandle handle(client_, inode_, false);
  ASSERT_TRUE(handle.Open().ok());
  uint64_t offset = 0;
  EXPECT_EQ(Read(handle, offset, 10).size(), 5u);
  ASSERT_TRUE(client_.Unlink(inode_, "f10001").ok());
  offset = 0;
  EXPECT_EQ(Read(handle, offset, 10).size(), 4u);
}

TEST_F(DirectoryHandleTest, RemovedDirectory_DoesNotOpen) {
  ASSERT_TRUE(client_.RemoveDirectory(kRootInode, "d").ok());
  DirectoryHandle handle(client_, inode_, false);
  EXPECT_TRUE(HasReason(handle.Open(), v1::NO_ENTRY));
}

TEST_F(DirectoryHandleTest, WithStatus_EntriesCarryAttributes) {
  Fill(1);
  DirectoryHandle handle(client_, inode_, true);
  ASSERT_TRUE(handle.Open().ok());
  int with_status = 0;
  ASSERT_TRUE(handle
                  .Read(0,
                        [&](const DirectoryEntry& entry, uint64_t) {
                          with_status += entry.status.has_value();
                          return true;
                        })
                  .ok());
  EXPECT_EQ(with_status, 1);
}

}  // namespace
}  // namespace appendfs::fuse
