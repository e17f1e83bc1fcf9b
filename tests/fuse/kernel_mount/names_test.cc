// Names and directories of a kernel mount.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "common/str_cat.h"
#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, UnlinkedAndRenamedFile_StaysUsableThroughItsHandle) {
  const int fd = Open("a", O_RDWR | O_CREAT | O_APPEND);
  EXPECT_EQ(rename(Path("a").c_str(), Path("a.1").c_str()), 0);
  EXPECT_EQ(write(fd, "abc", 3), 3);
  EXPECT_EQ(fsync(fd), 0);
  EXPECT_EQ(Content("a.1"), "abc");
  EXPECT_EQ(unlink(Path("a.1").c_str()), 0);
  EXPECT_EQ(write(fd, "def", 3), 3);
  char bytes[10];
  EXPECT_EQ(pread(fd, bytes, sizeof(bytes), 0), 6);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(SizeOf("a"), -1);
}

TEST_F(KernelMountTest, FileReplacedBetweenLookupAndOpen_OpensTheNewOne) {
  Create("a", "old");
  Create("b", "new");
  AwaitReleases();
  client_.BeforeNextOpen(
      [this] { EXPECT_TRUE(client_.Rename(kRootInode, "b", kRootInode, "a", {}).ok()); });
  EXPECT_EQ(Content("a"), "new");
}

TEST_F(KernelMountTest, FileRemovedBetweenLookupAndOpen_IsNotFound) {
  Create("a", "old");
  AwaitReleases();
  client_.BeforeNextOpen([this] { EXPECT_TRUE(client_.Unlink(kRootInode, "a").ok()); });
  EXPECT_ERRNO(Open("a", O_RDONLY), ENOENT);
}

TEST_F(KernelMountTest, Names_FollowTheUsualRules) {
  EXPECT_ERRNO(Open("missing", O_RDONLY), ENOENT);
  EXPECT_ERRNO(Open(std::string(256, 'n'), O_WRONLY | O_CREAT), ENAMETOOLONG);
  const int fd = Open(std::string(255, 'n'), O_WRONLY | O_CREAT);
  EXPECT_GE(fd, 0);
  close(fd);
  EXPECT_EQ(mkdir(Path("d").c_str(), 0755), 0);
  Create("d/f", "x");
  EXPECT_ERRNO(rmdir(Path("d").c_str()), ENOTEMPTY);
  EXPECT_ERRNO(mkdir(Path("d").c_str(), 0755), EEXIST);
  EXPECT_ERRNO(Open("d/f", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(symlink("d/f", Path("s").c_str()), 0);
  EXPECT_EQ(Content("s"), "x");
  EXPECT_EQ(link(Path("d/f").c_str(), Path("hard").c_str()), 0);
  struct stat status = {};
  EXPECT_EQ(stat(Path("hard").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 2u);
  EXPECT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_ERRNO(mknod(Path("dev").c_str(), S_IFCHR | 0600, 0), EPERM);
  EXPECT_ERRNO(
      renameat2(AT_FDCWD, Path("hard").c_str(), AT_FDCWD, Path("s").c_str(), RENAME_NOREPLACE),
      EEXIST);
  EXPECT_EQ(renameat2(AT_FDCWD, Path("hard").c_str(), AT_FDCWD, Path("s").c_str(), RENAME_EXCHANGE),
            0);
}

TEST_F(KernelMountTest, BigDirectory_IsListedWhole) {
  for (int i = 0; i < 3000; ++i)
    ASSERT_TRUE(client_.MakeNode(kRootInode, StrCat("file-with-a-name-", i), {}).ok());
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(mountpoint_))
    EXPECT_TRUE(names.insert(entry.path().filename()).second);
  EXPECT_EQ(names.size(), 3000u);
}

TEST_F(KernelMountTest, CachedAttributes_ListWithReaddirplus) {
  Mount({.entry_timeout_seconds = 5.0, .attr_timeout_seconds = 5.0});
  for (int i = 0; i < 2000; ++i)
    ASSERT_TRUE(client_.MakeNode(kRootInode, StrCat("f", i), {.mode = 0640}).ok());
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(mountpoint_)) {
    struct stat status = {};
    EXPECT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFREG | 0640));
    ++count;
  }
  EXPECT_EQ(count, 2000);
}

}  // namespace
}  // namespace appendfs::fuse
