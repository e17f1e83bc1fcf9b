// Signals to programs that wait in a kernel mount.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include "tests/fuse/kernel_mount/blocked.h"
#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, KilledInWrite_IsReleasedAndNothingIsAppended) {
  Mount({.ack = Ack::kCommit});
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.HoldQueue();
  Blocked writer([fd] { return write(fd, "x", 1) == 1 ? 0 : 1; });
  AwaitUnderWay(CallKind::kWrite);
  writer.Signal(SIGKILL);
  const int status = writer.Wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  client_.LetQueueGo();
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "");
}

TEST_F(KernelMountTest, KilledInFsync_IsReleasedThroughItsCloseAndTheBytesGoOn) {
  const std::string path = Path("a");
  client_.HoldQueue();
  Blocked writer([&path] {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    return write(fd, "x", 1) == 1 && fsync(fd) == 0 ? 0 : 1;
  });
  AwaitUnderWay(CallKind::kFsync);
  writer.Signal(SIGINT);
  const int status = writer.Wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
  client_.LetQueueGo();
  EXPECT_EQ(Content("a"), "x");
}

TEST_F(KernelMountTest, KilledInStat_IsReleased) {
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.HoldQueue();
  EXPECT_EQ(write(fd, "x", 1), 1);
  Blocked looker([fd] {
    struct stat st = {};
    return fstat(fd, &st) == 0 ? 0 : 1;
  });
  AwaitUnderWay(CallKind::kGetattr);
  looker.Signal(SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(looker.Wait()));
  client_.LetQueueGo();
  EXPECT_EQ(close(fd), 0);
}

TEST_F(KernelMountTest, SignalWithHandler_WriteFailsWithEintr) {
  Mount({.ack = Ack::kCommit});
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.HoldQueue();
  Blocked writer([fd] {
    struct sigaction handler = {};
    handler.sa_handler = [](int) {};
    sigaction(SIGTERM, &handler, nullptr);
    return write(fd, "x", 1) == -1 && errno == EINTR ? 0 : 1;
  });
  AwaitUnderWay(CallKind::kWrite);
  writer.Signal(SIGTERM);
  EXPECT_EQ(writer.Wait(), 0);
  client_.LetQueueGo();
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "");
}

TEST_F(KernelMountTest, RuntimesSignal_WriteGoesOn) {
  Mount({.ack = Ack::kCommit});
  const int fd = Open("a", O_WRONLY | O_CREAT | O_APPEND);
  client_.HoldQueue();
  Blocked writer([fd] {
    struct sigaction handler = {};
    handler.sa_handler = [](int) {};
    sigaction(SIGURG, &handler, nullptr);
    return write(fd, "x", 1) == 1 ? 0 : 1;
  });
  AwaitUnderWay(CallKind::kWrite);
  writer.Signal(SIGURG);
  std::this_thread::sleep_for(2 * InterruptWatch::kGrace);
  client_.LetQueueGo();
  EXPECT_EQ(writer.Wait(), 0);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(Content("a"), "x");
}

}  // namespace
}  // namespace appendfs::fuse
