// A kernel mount as a whole: what it is of, and how it ends.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <thread>

#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, Subtree_IsMountedAsRoot) {
  const InodeId directory =
      client_.MakeNode(kRootInode, "sub", {.type = v1::DIRECTORY, .mode = 0755})->status.inode;
  Mount({}, directory);
  Create("a", "x");
  EXPECT_TRUE(client_.Resolve("/sub/a").ok());
  EXPECT_EQ(InodeOf("."), directory);
}

TEST_F(KernelMountTest, ReadOnlyMount_RefusesChanges) {
  Create("a", "x");
  Mount({.read_only = true});
  EXPECT_ERRNO(Open("a", O_WRONLY | O_APPEND), EROFS);
  EXPECT_ERRNO(mkdir(Path("d").c_str(), 0755), EROFS);
  EXPECT_EQ(Content("a"), "x");
}

TEST_F(KernelMountTest, StatFs_ShowsTheCluster) {
  struct statvfs status = {};
  ASSERT_EQ(statvfs(mountpoint_.c_str(), &status), 0);
  EXPECT_EQ(status.f_blocks * status.f_frsize, 1ull << 30);
  EXPECT_EQ(status.f_bavail * status.f_frsize, 1ull << 29);
  EXPECT_EQ(status.f_namemax, 255u);
}

TEST_F(KernelMountTest, UnmountedFromOutside_ServeReturns) {
  Create("a", "x");
  ASSERT_EQ(umount(mountpoint_.c_str()), 0);
  server_.join();
  server_ = std::thread([] {});
}

}  // namespace
}  // namespace appendfs::fuse
