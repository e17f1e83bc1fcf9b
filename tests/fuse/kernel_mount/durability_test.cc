// Who waits for a record, and who is told that it failed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "common/str_cat.h"
#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, LateFailure_IsToldByWriteFsyncAndClose) {
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.FailNextRecord(MakeError(v1::NO_SPACE, "full"));
  EXPECT_EQ(write(fd, "lost", 4), 4);
  EXPECT_ERRNO(fsync(fd), ENOSPC);
  EXPECT_EQ(fsync(fd), 0);
  client_.FailNextRecord(MakeError(v1::QUORUM_LOST, "gone"));
  EXPECT_EQ(write(fd, "lost", 4), 4);
  EXPECT_ERRNO(close(fd), EIO);
  EXPECT_EQ(Content("a"), "");
}

TEST_F(KernelMountTest, AckCommit_WriteItselfFails) {
  Mount({.ack = Ack::kCommit});
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.FailNextRecord(MakeError(v1::NO_SPACE, "full"));
  EXPECT_ERRNO(write(fd, "lost", 4), ENOSPC);
  EXPECT_EQ(write(fd, "kept", 4), 4);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "kept");
}

// The answer, and the close it allows, may come before the write's callback has
// returned.
TEST_F(KernelMountTest, SynchronousWrite_HandleClosedAtOnce_OutlivesItsCallback) {
  for (int i = 0; i < 300; ++i) {
    const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND | O_DSYNC);
    ASSERT_EQ(write(fd, "x", 1), 1);
    ASSERT_EQ(close(fd), 0);
  }
  EXPECT_EQ(SizeOf("a"), 300);
}

TEST_F(KernelMountTest, SynchronousWrite_FailsItself) {
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND | O_DSYNC);
  client_.FailNextRecord(MakeError(v1::NO_SPACE, "full"));
  EXPECT_ERRNO(write(fd, "lost", 4), ENOSPC);
  EXPECT_EQ(close(fd), 0);
}

TEST_F(KernelMountTest, ManyBlockedFsyncs_DoNotFreezeTheMount) {
  client_.HoldQueue();
  std::vector<std::thread> writers;
  for (int i = 0; i < 80; ++i) {
    writers.emplace_back([this, i] {
      const int fd = Open(StrCat("w", i), O_WRONLY | O_CREAT | O_APPEND);
      EXPECT_EQ(write(fd, "x", 1), 1);
      EXPECT_EQ(fsync(fd), 0);
      EXPECT_EQ(close(fd), 0);
    });
  }
  EXPECT_EQ(mkdir(Path("d").c_str(), 0755), 0);
  EXPECT_EQ(rename(Path("d").c_str(), Path("e").c_str()), 0);
  client_.LetQueueGo();
  for (std::thread& writer : writers) writer.join();
}

}  // namespace
}  // namespace appendfs::fuse
