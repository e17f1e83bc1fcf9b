// Writing through a kernel mount: only at the end.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, Append_GoesToTheEndAndIsRead) {
  Create("a", "one\n");
  const int fd = Open("a", O_WRONLY | O_APPEND);
  ASSERT_GE(fd, 0);
  client_.AppendElsewhere(InodeOf("a"), "two\n");
  EXPECT_EQ(write(fd, "three\n", 6), 6);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "one\ntwo\nthree\n");
  EXPECT_EQ(SizeOf("a"), 14);
  AwaitReleases();
}

TEST_F(KernelMountTest, OpenToRewrite_IsRefused) {
  Create("a", "content");
  EXPECT_ERRNO(Open("a", O_WRONLY), EPERM);
  EXPECT_ERRNO(Open("a", O_RDWR), EPERM);
  EXPECT_ERRNO(Open("a", O_WRONLY | O_TRUNC), EPERM);
  EXPECT_ERRNO(Open("a", O_WRONLY | O_CREAT | O_TRUNC), EPERM);
  EXPECT_ERRNO(Open("a", O_WRONLY | O_APPEND | O_TRUNC), EPERM);
  EXPECT_ERRNO(Open("a", O_RDONLY | O_TRUNC), EPERM);
  EXPECT_EQ(Content("a"), "content");
}

TEST_F(KernelMountTest, OpenOfAnEmptyFileWithTruncation_IsFine) {
  Create("a", "");
  const int fd = Open("a", O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(write(fd, "abc", 3), 3);
  EXPECT_EQ(write(fd, "def", 3), 3);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "abcdef");
}

TEST_F(KernelMountTest, PositionedWrite_OnlyAtTheEnd) {
  const int fd = Open("a", O_RDWR | O_CREAT);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(pwrite(fd, "abc", 3, 0), 3);
  EXPECT_ERRNO(pwrite(fd, "X", 1, 1), EPERM);
  EXPECT_EQ(pwrite(fd, "def", 3, 3), 3);
  char bytes[10];
  EXPECT_EQ(pread(fd, bytes, sizeof(bytes), 0), 6);  // waits for what was written
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "abcdef");
}

TEST_F(KernelMountTest, SeekPastTheEndByTheCreator_LeavesZeros) {
  const int fd = Open("a", O_WRONLY | O_CREAT);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(write(fd, "abc", 3), 3);
  EXPECT_EQ(lseek(fd, 2, SEEK_CUR), 5);
  EXPECT_EQ(write(fd, "d", 1), 1);
  EXPECT_EQ(ftruncate(fd, 8), 0);  // cp does so for a hole at the end
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), std::string("abc\0\0d\0\0", 8));
}

TEST_F(KernelMountTest, Truncate_OnlyToTheRealSize) {
  Create("a", "content");
  EXPECT_EQ(truncate(Path("a").c_str(), 7), 0);
  EXPECT_ERRNO(truncate(Path("a").c_str(), 0), EPERM);
  EXPECT_ERRNO(truncate(Path("a").c_str(), 100), EPERM);
  const int fd = Open("a", O_WRONLY | O_APPEND);
  ASSERT_GE(fd, 0);
  EXPECT_ERRNO(ftruncate(fd, 3), EPERM);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "content");
}

TEST_F(KernelMountTest, Fallocate_DoesNotGrow) {
  Create("a", "content");
  const int fd = Open("a", O_WRONLY | O_APPEND);
  ASSERT_GE(fd, 0);
  EXPECT_ERRNO(fallocate(fd, 0, 0, 100), EPERM);
  EXPECT_EQ(posix_fallocate(fd, 0, 100), EPERM);
  EXPECT_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100), EOPNOTSUPP);
  EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3), EOPNOTSUPP);
  EXPECT_EQ(fallocate(fd, 0, 0, 7), 0);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "content");
}

TEST_F(KernelMountTest, OneWrite_IsOneRecordUpToTheBound) {
  const std::string big((1 << 20) - 4096, 'x');
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.HoldQueue();
  EXPECT_EQ(write(fd, big.data() + 1, big.size() - 1), static_cast<ssize_t>(big.size() - 1));
  client_.FailNextRecord(MakeError(v1::NO_SPACE, "full"));
  client_.LetQueueGo();
  EXPECT_ERRNO(fsync(fd), ENOSPC);
  EXPECT_EQ(SizeOf("a"), 0);  // all of it was that one record
  close(fd);
}

}  // namespace
}  // namespace appendfs::fuse
