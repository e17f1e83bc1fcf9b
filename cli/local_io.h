#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "common/status.h"

namespace appendfs::cli {

// Where bytes go: standard output, a local file, a test's string.
using Sink = absl::FunctionRef<absl::Status(std::string_view)>;

absl::Status WriteAll(int fd, std::string_view bytes, std::string_view thing);

// At most `limit` bytes as they come; empty at the end.
absl::StatusOr<std::string> ReadSome(int fd, size_t limit, std::string_view thing);

// A local file open for reading, or standard input for "-".
class LocalSource {
 public:
  static absl::StatusOr<LocalSource> Open(const std::string& path);
  LocalSource(LocalSource&& other) noexcept;
  ~LocalSource();

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }  // 0 if it cannot be known
  uint32_t mode() const { return mode_; }  // permission bits

 private:
  LocalSource(int fd, std::string name, uint64_t size, uint32_t mode)
      : fd_(fd), name_(std::move(name)), size_(size), mode_(mode) {}
  int fd_;
  std::string name_;
  uint64_t size_;
  uint32_t mode_;
};

// A local file that appears under its name, replacing what was there, only
// when Commit says OK; before that nothing is seen of it. "-" is standard
// output, and anything that is not a regular file is written in place.
class LocalTarget {
 public:
  static absl::StatusOr<LocalTarget> Create(const std::string& path);
  LocalTarget(LocalTarget&& other) noexcept;
  ~LocalTarget();  // removes what was not committed

  absl::Status Write(std::string_view bytes) { return WriteAll(fd_, bytes, path_); }
  absl::Status Commit();

 private:
  LocalTarget(int fd, std::string path, std::string temporary)
      : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}
  int fd_;
  std::string path_, temporary_;  // no temporary: written in place
};

}  // namespace appendfs::cli
