#include "fuse/directory_handle.h"

#include <gtest/gtest.h>

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
