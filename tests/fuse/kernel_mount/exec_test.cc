// Programs that execve(2) with a file of the mount that is closed by that. The
// kernel sends such a close while it holds the program's exec lock, and it is
// answered only when what was written is durable: whoever asks the kernel
// meanwhile for something of that program that needs the lock waits for the
// answer. If that is the daemon, both wait for ever.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <future>
#include <optional>

#include "fuse/mount_report.h"
#include "tests/fuse/kernel_mount/blocked.h"
#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

class ExecTest : public KernelMountTest {
 protected:
  // Has a record wait in a file that a child inherits and closes on its way
  // into exec.
  void WriteAndHold() {
    file_ = Open("a", O_WRONLY | O_CREAT | O_APPEND);
    client_.HoldQueue();
    ASSERT_EQ(write(file_, "x", 1), 1);
  }
  // What it exits with. If it hangs it cannot be killed either: the mount is
  // ended then, so that the test ends.
  std::optional<int> EndOf(Blocked& child) {
    const std::optional<int> status = child.WaitBounded();
    if (!status) AbortMount();
    return status;
  }
  void TearDown() override {
    if (HasFailure()) AbortMount();
    if (file_ >= 0) close(file_);
    KernelMountTest::TearDown();
  }

  int file_ = -1;
};

int RunTrue() {
  execl("/bin/true", "true", nullptr);
  return 1;
}

TEST_F(ExecTest, CloseOnExec_WaitsForTheQueueAndIsAnswered) {
  WriteAndHold();
  Blocked child(RunTrue);
  AwaitUnderWay(CallKind::kFlush);
  client_.LetQueueGo();
  const std::optional<int> status = EndOf(child);
  ASSERT_TRUE(status) << "it hangs in exec";
  EXPECT_EQ(*status, 0);
  EXPECT_EQ(Content("a"), "x");
}

TEST_F(ExecTest, KilledInExec_IsReleased) {
  WriteAndHold();
  Blocked child(RunTrue);
  AwaitUnderWay(CallKind::kFlush);
  child.Signal(SIGKILL);
  const std::optional<int> status = EndOf(child);
  client_.LetQueueGo();
  ASSERT_TRUE(status) << "it hangs in exec";
  EXPECT_TRUE(WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL) << *status;
  EXPECT_EQ(Content("a"), "x");
}

TEST_F(ExecTest, ProgramInExec_IsReportedAsWaiting) {
  WriteAndHold();
  Blocked child(RunTrue);
  AwaitUnderWay(CallKind::kFlush);
  auto report = std::async(std::launch::async, [this] { return ReportOf(*state_); });
  const bool reported = report.wait_for(std::chrono::seconds(30)) == std::future_status::ready;
  if (!reported) AbortMount();
  client_.LetQueueGo();
  ASSERT_TRUE(reported) << "the daemon waits for the program";
  const v1::GetMountStatsResponse said = report.get();
  ASSERT_EQ(said.waiting_size(), 1);
  EXPECT_EQ(said.waiting(0).name(), "flush");
  EXPECT_NE(said.waiting(0).command(), "");
  EXPECT_EQ(EndOf(child), 0);
}

}  // namespace
}  // namespace appendfs::fuse
