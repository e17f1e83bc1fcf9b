// What a reader of a kernel mount sees, and when.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <thread>

#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, Mmap_PrivateReadsAndSharedWriteFails) {
  Create("a", "content");
  int fd = Open("a", O_RDONLY);
  void* map = mmap(nullptr, 7, PROT_READ, MAP_PRIVATE, fd, 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(std::string_view(static_cast<const char*>(map), 7), "content");
  munmap(map, 7);
  close(fd);
  fd = Open("b", O_RDWR | O_CREAT);
  EXPECT_EQ(write(fd, "content", 7), 7);
  errno = 0;
  EXPECT_EQ(mmap(nullptr, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_EQ(errno, ENODEV);
  close(fd);
}

TEST_F(KernelMountTest, GrowingFile_IsSeenByReaderAndStatAtOnce) {
  Create("a", "one\n");
  const InodeId inode = InodeOf("a");
  const int fd = Open("a", O_RDONLY);
  char bytes[100];
  EXPECT_EQ(read(fd, bytes, sizeof(bytes)), 4);
  EXPECT_EQ(read(fd, bytes, sizeof(bytes)), 0);
  client_.AppendElsewhere(inode, "two\n");
  struct stat status = {};
  EXPECT_EQ(fstat(fd, &status), 0);
  EXPECT_EQ(status.st_size, 8);
  EXPECT_EQ(lseek(fd, 0, SEEK_END), 8);
  EXPECT_EQ(lseek(fd, 4, SEEK_SET), 4);
  EXPECT_EQ(read(fd, bytes, sizeof(bytes)), 4);
  EXPECT_EQ(std::string_view(bytes, 4), "two\n");
  close(fd);
}

TEST_F(KernelMountTest, StatAndRead_WaitForTheOwnQueue) {
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.HoldQueue();
  EXPECT_EQ(write(fd, "abc", 3), 3);
  std::thread later([this] { client_.LetQueueGo(); });
  EXPECT_EQ(SizeOf("a"), 3);
  later.join();
  client_.HoldQueue();
  EXPECT_EQ(write(fd, "def", 3), 3);
  std::thread again([this] { client_.LetQueueGo(); });
  EXPECT_EQ(Content("a"), "abcdef");
  again.join();
  close(fd);
}

TEST_F(KernelMountTest, SeekToDataAndHole_TakesTheFileAsData) {
  const int fd = Open("a", O_RDWR | O_CREAT | O_APPEND);
  EXPECT_EQ(write(fd, "abc", 3), 3);
  EXPECT_EQ(lseek(fd, 1, SEEK_DATA), 1);
  EXPECT_EQ(lseek(fd, 1, SEEK_HOLE), 3);
  EXPECT_ERRNO(lseek(fd, 3, SEEK_DATA), ENXIO);
  EXPECT_ERRNO(lseek(fd, 3, SEEK_HOLE), ENXIO);
  client_.AppendElsewhere(InodeOf("a"), "d");
  EXPECT_EQ(lseek(fd, 3, SEEK_DATA), 3);
  close(fd);
}

}  // namespace
}  // namespace appendfs::fuse
