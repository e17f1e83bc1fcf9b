#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace appendfs::bench {

[[noreturn]] inline void Fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

// A file descriptor whose failures are exceptions.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) Fail("open " + path.string());
  }
  Descriptor(Descriptor&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  void Write(std::string_view bytes) const {
    if (::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      Fail("write " + path_.string());
  }
  void Sync() const {
    if (::fsync(fd_) != 0) Fail("fsync " + path_.string());
  }
  size_t ReadAt(uint64_t offset, char* into, size_t length) const {
    ssize_t got = ::pread(fd_, into, length, static_cast<off_t>(offset));
    if (got < 0) Fail("read " + path_.string());
    return static_cast<size_t>(got);
  }
  uint64_t Size() const {
    struct stat status;
    if (::fstat(fd_, &status) != 0) Fail("fstat " + path_.string());
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  std::filesystem::path path_;
  int fd_;
};

}  // namespace appendfs::bench
