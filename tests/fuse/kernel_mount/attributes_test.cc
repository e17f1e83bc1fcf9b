// Attributes and extended attributes of a kernel mount.
#include <fcntl.h>
#include <glog/logging.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "tests/fuse/kernel_mount/kernel_mount.h"

namespace appendfs::fuse {
namespace {

TEST_F(KernelMountTest, Attributes_AreSetAndKept) {
  Create("a", "x");
  EXPECT_EQ(chmod(Path("a").c_str(), 0600), 0);
  EXPECT_EQ(chown(Path("a").c_str(), 12, 34), 0);
  const timespec times[2] = {{.tv_sec = 100, .tv_nsec = 5}, {.tv_sec = 200, .tv_nsec = 7}};
  EXPECT_EQ(utimensat(AT_FDCWD, Path("a").c_str(), times, 0), 0);
  struct stat status = {};
  EXPECT_EQ(stat(Path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFREG | 0600));
  EXPECT_EQ(status.st_uid, 12u);
  EXPECT_EQ(status.st_gid, 34u);
  EXPECT_EQ(status.st_atim.tv_sec, 100);
  EXPECT_EQ(status.st_mtim.tv_sec, 200);
  EXPECT_EQ(status.st_mtim.tv_nsec, 7);
}

TEST_F(KernelMountTest, Xattrs_AreSetAndKept) {
  Create("a", "x");
  const std::string path = Path("a");
  char value[100];
  EXPECT_ERRNO(getxattr(path.c_str(), "user.x", nullptr, 0), ENODATA);
  EXPECT_ERRNO(setxattr(path.c_str(), "user.x", "1", 1, XATTR_REPLACE), ENODATA);
  EXPECT_EQ(setxattr(path.c_str(), "user.x", "12", 2, XATTR_CREATE), 0);
  EXPECT_ERRNO(setxattr(path.c_str(), "user.x", "1", 1, XATTR_CREATE), EEXIST);
  EXPECT_EQ(setxattr(path.c_str(), "user.y", "", 0, 0), 0);
  EXPECT_EQ(getxattr(path.c_str(), "user.x", nullptr, 0), 2);
  EXPECT_ERRNO(getxattr(path.c_str(), "user.x", value, 1), ERANGE);
  EXPECT_EQ(getxattr(path.c_str(), "user.x", value, sizeof(value)), 2);
  EXPECT_EQ(listxattr(path.c_str(), nullptr, 0), 14);
  EXPECT_EQ(listxattr(path.c_str(), value, sizeof(value)), 14);
  EXPECT_EQ(std::string(value, 14), std::string("user.x\0user.y\0", 14));
  EXPECT_EQ(removexattr(path.c_str(), "user.x"), 0);
  EXPECT_ERRNO(removexattr(path.c_str(), "user.x"), ENODATA);
  EXPECT_ERRNO(setxattr(path.c_str(), "trusted.x", "1", 1, 0), EOPNOTSUPP);
  EXPECT_ERRNO(getxattr(path.c_str(), "system.posix_acl_access", value, 100), EOPNOTSUPP);
}

TEST_F(KernelMountTest, OwnXattrs_CanBeReadOnly) {
  Create("a", "x");
  char value[100] = {};
  EXPECT_EQ(getxattr(Path("a").c_str(), "appendfs.health", value, sizeof(value)), 2);
  EXPECT_STREQ(value, "ok");
  EXPECT_EQ(getxattr(Path("a").c_str(), "appendfs.length", value, sizeof(value)), 1);
  EXPECT_EQ(value[0], '1');
  EXPECT_ERRNO(setxattr(Path("a").c_str(), "appendfs.health", "1", 1, 0), EPERM);
  EXPECT_ERRNO(removexattr(Path("a").c_str(), "appendfs.health"), EPERM);
}

// Counts requests of the kernel, as the trace of a debug mount tells them.
class RequestCounter : public google::LogSink {
 public:
  explicit RequestCounter(std::string opcode) : text_("opcode: " + std::move(opcode) + " ") {
    google::AddLogSink(this);
  }
  ~RequestCounter() override { google::RemoveLogSink(this); }
  void send(google::LogSeverity, const char*, const char*, int, const google::LogMessageTime&,
            const char* message, size_t length) override {
    if (std::string_view(message, length).find(text_) != std::string_view::npos) ++count_;
  }
  int count() const { return count_; }

 private:
  const std::string text_;
  std::atomic<int> count_ = 0;
};

// The kernel may ask for security.capability before a write.
TEST_F(KernelMountTest, Write_DoesNotAskForXattrs) {
  Mount({.debug = true});
  Create("a", "x");
  EXPECT_EQ(chmod(Path("a").c_str(), 0666), 0);
  EXPECT_EQ(chmod(mountpoint_.c_str(), 0777), 0);
  RequestCounter writes("WRITE"), asked("GETXATTR");
  auto write_ten = [&] {
    const int fd = Open("a", O_WRONLY | O_APPEND);
    bool all = fd >= 0;
    for (int i = 0; i < 10; ++i) all = all && write(fd, "y", 1) == 1;
    return all && close(fd) == 0;
  };
  EXPECT_TRUE(write_ten());
  const pid_t child = fork();
  if (child == 0) _exit(setgid(1234) == 0 && setuid(1234) == 0 && write_ten() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(writes.count(), 20);
  EXPECT_EQ(asked.count(), 0);
  char value[10];
  EXPECT_ERRNO(getxattr(Path("a").c_str(), "security.capability", value, 10), ENODATA);
  EXPECT_EQ(asked.count(), 1);  // so it would have been counted
}

TEST_F(KernelMountTest, SetUserIdBit_GoesWhenAnotherUserWrites) {
  Create("a", "x");
  EXPECT_EQ(chmod(Path("a").c_str(), 06777), 0);
  EXPECT_EQ(chmod(mountpoint_.c_str(), 0777), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(1234) != 0 || setuid(1234) != 0) _exit(2);
    const int fd = Open("a", O_WRONLY | O_APPEND);
    _exit(fd >= 0 && write(fd, "y", 1) == 1 && close(fd) == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(client_.StatusOf(InodeOf("a")).mode, 0777u);
}

}  // namespace
}  // namespace appendfs::fuse
