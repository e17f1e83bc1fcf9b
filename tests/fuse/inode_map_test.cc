#include "fuse/inode_map.h"

#include <gtest/gtest.h>

#include "tests/fuse/fake_client.h"

namespace appendfs::fuse {
namespace {

FileStatus RegularFile(InodeId inode, uint64_t size) {
  return {.inode = inode, .type = v1::REGULAR, .mode = 0644, .size = size};
}

TEST(InodeMap, RootOfASubtree_IsNodeOne) {
  const InodeMap map(InodeId(77));
  EXPECT_EQ(map.ToInode(1), InodeId(77));
  EXPECT_EQ(map.ToNode(InodeId(77)), 1u);
  EXPECT_EQ(map.ToInode(78), InodeId(78));
  EXPECT_EQ(map.ToNode(InodeId(78)), 78u);
}

TEST(InodeMap, ForgottenAsOftenAsLookedUp_IsDropped) {
  InodeMap map(kRootInode);
  map.AddLookups(InodeId(5));
  map.AddLookups(InodeId(5), 2);
  map.Forget(InodeId(5), 2);
  EXPECT_EQ(map.size(), 1u);
  map.Forget(InodeId(5), 1);
  EXPECT_EQ(map.size(), 0u);
  map.Forget(InodeId(5), 1);  // not known: no matter
  EXPECT_EQ(map.size(), 0u);
}

TEST(InodeMap, OpenFile_OutlivesLookups) {
  FakeClient client;
  const InodeId inode = client.MakeNode(kRootInode, "a", {})->status.inode;
  InodeMap map(kRootInode);
  map.AddLookups(inode);
  map.AddHandle(inode, *client.OpenInode(inode, false));
  map.AddHandle(inode, *client.OpenInode(inode, false));
  map.Forget(inode, 1);
  EXPECT_NE(map.OpenFile(inode), nullptr);
  map.RemoveHandle(inode);
  EXPECT_EQ(map.OpenFiles().size(), 1u);
  map.RemoveHandle(inode);
  EXPECT_EQ(map.OpenFile(inode), nullptr);
  EXPECT_EQ(map.size(), 0u);
  EXPECT_EQ(client.open_files(), 0u);
}

TEST(InodeMap, OvertakenAnswer_DoesNotShrinkTheFile) {
  InodeMap map(kRootInode);
  map.AddLookups(InodeId(5));
  EXPECT_EQ(map.Observe(RegularFile(InodeId(5), 10)).size, 10u);
  EXPECT_EQ(map.Observe(RegularFile(InodeId(5), 7)).size, 10u);
  EXPECT_EQ(map.Observe(RegularFile(InodeId(5), 12)).size, 12u);
}

TEST(InodeMap, DirectorySize_MayShrink) {
  InodeMap map(kRootInode);
  map.AddLookups(InodeId(5));
  FileStatus status = {.inode = InodeId(5), .type = v1::DIRECTORY, .size = 3};
  EXPECT_EQ(map.Observe(status).size, 3u);
  status.size = 1;
  EXPECT_EQ(map.Observe(status).size, 1u);
}

TEST(InodeMap, SetUserIdBit_IsRemembered) {
  InodeMap map(kRootInode);
  map.AddLookups(InodeId(5));
  FileStatus status = RegularFile(InodeId(5), 0);
  map.Observe(status);
  EXPECT_FALSE(map.HasSetId(InodeId(5)));
  status.mode = 04755;
  map.Observe(status);
  EXPECT_TRUE(map.HasSetId(InodeId(5)));
}

}  // namespace
}  // namespace appendfs::fuse
