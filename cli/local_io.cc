#include "cli/local_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace appendfs::cli {

absl::Status WriteAll(int fd, std::string_view bytes, std::string_view thing) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("write", thing, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadSome(int fd, size_t limit, std::string_view thing) {
  std::string bytes(limit, '\0');
  ssize_t n;
  do {
    n = read(fd, bytes.data(), limit);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return ErrnoError("read", thing, errno);
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

absl::StatusOr<LocalSource> LocalSource::Open(const std::string& path) {
  if (path == "-") return LocalSource(STDIN_FILENO, "standard input", 0, 0644);
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoError("open", path, errno);
  struct stat st {};
  if (fstat(fd, &st) != 0) st = {};
  LocalSource source(fd, path, S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0,
                     st.st_mode & 0777);
  if (S_ISDIR(st.st_mode)) return ErrnoError("open", path, EISDIR);
  return source;
}

LocalSource::LocalSource(LocalSource&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      size_(other.size_),
      mode_(other.mode_) {}

LocalSource::~LocalSource() {
  if (fd_ > STDIN_FILENO) close(fd_);
}

absl::StatusOr<LocalTarget> LocalTarget::Create(const std::string& path) {
  if (path == "-") return LocalTarget(STDOUT_FILENO, "standard output", "");
  struct stat st {};
  bool exists = stat(path.c_str(), &st) == 0;
  if (exists && !S_ISREG(st.st_mode)) {
    int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoError("open", path, errno);
    return LocalTarget(fd, path, "");
  }
  std::string temporary = path + ".XXXXXX";
  int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoError("create", path, errno);
  mode_t mask = umask(0);
  umask(mask);
  fchmod(fd, exists ? st.st_mode & 07777 : 0666 & ~mask);
  return LocalTarget(fd, path, std::move(temporary));
}

LocalTarget::LocalTarget(LocalTarget&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, "")) {}

LocalTarget::~LocalTarget() {
  if (fd_ > STDERR_FILENO) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status LocalTarget::Commit() {
  if (fd_ <= STDERR_FILENO) return absl::OkStatus();
  if (close(std::exchange(fd_, -1)) != 0) return ErrnoError("close", path_, errno);
  if (temporary_.empty()) return absl::OkStatus();
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return ErrnoError("rename to", path_, errno);
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace appendfs::cli
