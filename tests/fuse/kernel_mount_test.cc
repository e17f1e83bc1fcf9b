// The rules of the mount as programs meet them: a real kernel mount over a
// client in memory. Skipped where /dev/fuse cannot be used.
#include <fcntl.h>
#include <glog/logging.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <sys/mount.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "common/str_cat.h"
#include "fuse/mount_state.h"
#include "fuse/session.h"
#include "tests/fuse/fake_client.h"

namespace appendfs::fuse {
namespace {

class KernelMountTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0)
      GTEST_SKIP() << "needs root and /dev/fuse";
    char name[] = "/tmp/appendfs-mount-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    mountpoint_ = name;
    Mount({});
  }
  void TearDown() override {
    Unmount();
    if (!mountpoint_.empty()) rmdir(mountpoint_.c_str());
  }

  void Mount(MountOptions options, InodeId root = kRootInode) {
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
  void Unmount() {
    if (session_ == nullptr) return;
    session_->Stop();
    server_.join();
    session_->Unmount();
    client_.AwaitAnswers();  // which go through the session
    session_.reset();
    state_.reset();
  }

  std::string Path(const std::string& name) const { return StrCat(mountpoint_, "/", name); }
  int Open(const std::string& name, int flags) const {
    return open(Path(name).c_str(), flags | O_CLOEXEC, 0644);
  }
  void Create(const std::string& name, std::string_view content) {
    const int fd = Open(name, O_WRONLY | O_CREAT | O_EXCL);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ASSERT_EQ(close(fd), 0);
  }
  // The kernel tells of a close after close(2) has returned.
  void AwaitReleases() const {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (client_.open_files() > 0 && std::chrono::steady_clock::now() < patience)
      std::this_thread::yield();
    EXPECT_EQ(client_.open_files(), 0u);
  }
  std::string Content(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  off_t SizeOf(const std::string& name) const {
    struct stat status = {};
    return stat(Path(name).c_str(), &status) == 0 ? status.st_size : -1;
  }
  InodeId InodeOf(const std::string& name) const {
    struct stat status = {};
    return stat(Path(name).c_str(), &status) == 0 ? InodeId(status.st_ino) : InodeId();
  }

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

TEST_F(KernelMountTest, UnmountedFromOutside_ServeReturns) {
  Create("a", "x");
  ASSERT_EQ(umount(mountpoint_.c_str()), 0);
  server_.join();
  server_ = std::thread([] {});
}

}  // namespace
}  // namespace appendfs::fuse
