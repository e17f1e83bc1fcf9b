#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "common/descriptor.h"
#include "common/direct_writer.h"
#include "common/file_system.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

absl::StatusOr<Descriptor> OpenDescriptor(const std::string& path, int flags) {
  int fd = Retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0640); });
  if (fd < 0) return ErrnoError("open", path, errno);
  return Descriptor(fd);
}

class PosixFile final : public LocalFile {
 public:
  PosixFile(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  using LocalFile::Write;
  absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) override {
    constexpr size_t kMostParts = 256;  // below IOV_MAX; on the stack
    iovec vectors[kMostParts];
    size_t skip = 0;  // bytes of parts.front() that are written already
    while (!parts.empty()) {
      int count = 0;
      for (std::string_view part : parts.first(std::min(parts.size(), kMostParts))) {
        part.remove_prefix(count == 0 ? skip : 0);
        vectors[count++] = {const_cast<char*>(part.data()), part.size()};
      }
      ssize_t written =
          Retry([&] { return ::pwritev(fd_.get(), vectors, count, static_cast<off_t>(offset)); });
      if (written < 0) return ErrnoError("write", path_, errno);
      offset += static_cast<uint64_t>(written);
      size_t done = skip + static_cast<size_t>(written);
      while (!parts.empty() && done >= parts.front().size()) {
        done -= parts.front().size();
        parts = parts.subspan(1);
      }
      if (written == 0 && !parts.empty() && done == skip)
        return MakeError(v1::INPUT_OUTPUT, StrCat("write ", path_, ": nothing was written"));
      skip = done;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const override {
    size_t done = 0;
    while (done < length) {
      ssize_t read = Retry([&] {
        return ::pread(fd_.get(), into + done, length - done, static_cast<off_t>(offset + done));
      });
      if (read < 0) return ErrnoError("read", path_, errno);
      if (read == 0) break;
      done += static_cast<size_t>(read);
    }
    return done;
  }

  absl::Status Sync() override {
    // Not retried, not even after EINTR: a sync that failed proves nothing.
    if (::fdatasync(fd_.get()) != 0) return ErrnoError("sync", path_, errno);
    // A file without a name is gone with this process, however well it is synced.
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return ErrnoError("stat", path_, errno);
    if (info.st_nlink == 0)
      return MakeError(v1::INPUT_OUTPUT, StrCat("sync ", path_, ": somebody removed the file"));
    return absl::OkStatus();
  }

  absl::Status WriteDurably(uint64_t offset, std::span<const std::string_view> parts) override {
    size_t bytes = 0;
    for (std::string_view part : parts) bytes += part.size();
    bool written = false;
    if (DirectWriter::TakesShort(offset, bytes)) {
      APPENDFS_ASSIGN_OR_RETURN(written, direct().WriteShort(offset, parts));
    }
    if (!written) APPENDFS_RETURN_IF_ERROR(Write(offset, parts));
    return Sync();
  }

  absl::Status WriteAside(uint64_t offset, std::span<const std::string_view> parts) override {
    size_t bytes = 0;
    for (std::string_view part : parts) bytes += part.size();
    bool written = false;
    if (bytes >= DirectWriter::kLeastLongBytes) {
      APPENDFS_ASSIGN_OR_RETURN(written, direct().WriteLong(offset, bytes, parts, *this));
    }
    return written ? absl::OkStatus() : Write(offset, parts);
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return ErrnoError("stat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

  absl::Status Truncate(uint64_t length) override {
    if (Retry([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(length)); }) != 0)
      return ErrnoError("truncate", path_, errno);
    return absl::OkStatus();
  }

 private:
  DirectWriter& direct() {
    if (!direct_) direct_ = std::make_unique<DirectWriter>(fd_.get(), path_);
    return *direct_;
  }

  const std::string path_;
  const Descriptor fd_;
  std::unique_ptr<DirectWriter> direct_;  // made when it is first of use
};

// flock(2): the kernel drops it with the process, however it ends.
class PosixLock final : public FileSystem::Lock {
 public:
  explicit PosixLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;
};

int OpenFlags(FileSystem::OpenMode mode) {
  switch (mode) {
    case FileSystem::OpenMode::kRead: return O_RDONLY;
    case FileSystem::OpenMode::kReadWrite: return O_RDWR;
    case FileSystem::OpenMode::kCreate: return O_RDWR | O_CREAT | O_EXCL;
    case FileSystem::OpenMode::kCreateOrOpen: return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<LocalFile>> Open(const std::string& path, OpenMode mode) override {
    APPENDFS_ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, OpenFlags(mode)));
    return std::make_unique<PosixFile>(path, std::move(fd));
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return ErrnoError("rename", StrCat(from, " to ", to), errno);
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0) return ErrnoError("remove", path, errno);
    return absl::OkStatus();
  }

  absl::Status MakeDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0750) == 0) return absl::OkStatus();
    int error = errno;
    struct stat info;
    if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
      return absl::OkStatus();
    return ErrnoError("make directory", path, error);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    APPENDFS_ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(fd.get()) != 0) return ErrnoError("sync directory", path, errno);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (!directory) return ErrnoError("list", path, errno);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (!entry) break;
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return ErrnoError("list", path, errno);
    return names;
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    struct stat info;
    if (::lstat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT) return false;
    return ErrnoError("stat", path, errno);
  }

  absl::StatusOr<Space> GetSpace(const std::string& path) override {
    struct statvfs info;
    if (Retry([&] { return ::statvfs(path.c_str(), &info); }) != 0)
      return ErrnoError("statfs", path, errno);
    return Space{.total_bytes = info.f_blocks * info.f_frsize,
                 .available_bytes = info.f_bavail * info.f_frsize};
  }

  absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) override {
    APPENDFS_ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, O_RDWR | O_CREAT));
    if (Retry([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno != EWOULDBLOCK) return ErrnoError("lock", path, errno);
      return MakeError(v1::NOT_READY, StrCat("lock ", path, ": held by ", Holder(fd.get()),
                                             "; stop it or use another directory"));
    }
    // The holder's pid is for people only; the lock does not depend on it.
    const std::string pid = StrCat(::getpid(), "\n");
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
      return ErrnoError("write", path, errno);
    return std::make_unique<PosixLock>(std::move(fd));
  }

 private:
  static std::string Holder(int fd) {
    char text[32];
    ssize_t read = ::pread(fd, text, sizeof(text), 0);
    std::string_view pid(text, read > 0 ? static_cast<size_t>(read) : 0);
    if (pid.ends_with('\n')) pid.remove_suffix(1);
    return pid.empty() ? "another process" : StrCat("process ", pid);
  }
};

}  // namespace

std::unique_ptr<FileSystem> MakePosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace appendfs
