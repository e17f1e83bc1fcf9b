#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "fuse/mount_state.h"
#include "fuse/session.h"
#include "tests/fuse/fake_client.h"

namespace appendfs::fuse {

// The rules of the mount as programs meet them: a real kernel mount over a
// client in memory, served by a thread of the test. Skipped where /dev/fuse
// cannot be used.
class KernelMountTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Ends the mount there is; its files stay, in the client.
  void Mount(MountOptions options, InodeId root = kRootInode);
  void Unmount();
  // Ends it though requests are under way that nobody answers: they fail. For a
  // test that has failed, so that what hangs in the kernel does not for ever.
  void AbortMount() const;

  std::string Path(const std::string& name) const;
  int Open(const std::string& name, int flags) const;  // close-on-exec
  void Create(const std::string& name, std::string_view content);
  // The kernel tells of a close after close(2) has returned.
  void AwaitReleases() const;
  // Until a request of this kind is being served.
  void AwaitUnderWay(CallKind kind) const;
  std::string Content(const std::string& name) const;
  off_t SizeOf(const std::string& name) const;
  InodeId InodeOf(const std::string& name) const;

  FakeClient client_;
  std::string mountpoint_;
  std::unique_ptr<MountState> state_;
  std::unique_ptr<Session> session_;
  std::thread server_;
};

// What fails must say so with this errno and change nothing.
#define EXPECT_ERRNO(call, wanted) \
  do {                             \
    errno = 0;                     \
    EXPECT_EQ((call), -1);         \
    EXPECT_EQ(errno, wanted);      \
  } while (false)

}  // namespace appendfs::fuse
