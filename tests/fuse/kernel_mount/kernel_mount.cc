#include "tests/fuse/kernel_mount/kernel_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

template <class Condition>
bool Within30Seconds(Condition condition) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > patience) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

void KernelMountTest::SetUp() {
  if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0)
    GTEST_SKIP() << "needs root and /dev/fuse";
  char name[] = "/tmp/appendfs-mount-test-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  mountpoint_ = name;
  Mount({});
}

void KernelMountTest::TearDown() {
  Unmount();
  if (!mountpoint_.empty()) rmdir(mountpoint_.c_str());
}

void KernelMountTest::Mount(MountOptions options, InodeId root) {
  Unmount();
  options.source = "fake:1";
  options.mountpoint = mountpoint_;
  state_ = std::make_unique<MountState>(client_, options, root);
  auto session = Session::Mount(*state_);
  ASSERT_TRUE(session.ok()) << session.status();
  session_ = *std::move(session);
  server_ = std::thread([this] { EXPECT_TRUE(session_->Serve().ok()); });
  ASSERT_TRUE(std::filesystem::exists(mountpoint_));  // waits for the handshake
}

void KernelMountTest::Unmount() {
  if (session_ == nullptr) return;
  session_->Stop();
  server_.join();
  session_->Unmount();
  client_.AwaitAnswers();  // which go through the session
  session_.reset();
  state_.reset();
}

void KernelMountTest::AbortMount() const { umount2(mountpoint_.c_str(), MNT_FORCE); }

std::string KernelMountTest::Path(const std::string& name) const {
  return StrCat(mountpoint_, "/", name);
}

int KernelMountTest::Open(const std::string& name, int flags) const {
  return open(Path(name).c_str(), flags | O_CLOEXEC, 0644);
}

void KernelMountTest::Create(const std::string& name, std::string_view content) {
  const int fd = Open(name, O_WRONLY | O_CREAT | O_EXCL);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  ASSERT_EQ(close(fd), 0);
}

void KernelMountTest::AwaitReleases() const {
  EXPECT_TRUE(Within30Seconds([this] { return client_.open_files() == 0; }));
}

void KernelMountTest::AwaitUnderWay(CallKind kind) const {
  ASSERT_TRUE(Within30Seconds([&] { return state_->calls->stats().Get(kind).in_flight > 0; }))
      << CallName(kind);
}

std::string KernelMountTest::Content(const std::string& name) const {
  std::ifstream file(Path(name));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

off_t KernelMountTest::SizeOf(const std::string& name) const {
  struct stat status = {};
  return stat(Path(name).c_str(), &status) == 0 ? status.st_size : -1;
}

InodeId KernelMountTest::InodeOf(const std::string& name) const {
  struct stat status = {};
  return stat(Path(name).c_str(), &status) == 0 ? InodeId(status.st_ino) : InodeId();
}

}  // namespace appendfs::fuse
