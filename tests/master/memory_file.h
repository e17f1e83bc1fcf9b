#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "common/file_system.h"

namespace appendfs {

// A file's bytes, as they are and as a crash right now would leave them.
struct FileBytes {
  std::string bytes;
  std::string durable;
  int syncs = 0;
  bool full = false;  // nothing can make it longer
  bool sync_fails = false;
};

class MemoryFile final : public LocalFile {
 public:
  explicit MemoryFile(FileBytes& of) : of_(of) {}

  using LocalFile::Write;
  absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) override {
    for (std::string_view part : parts) {
      if (offset + part.size() > of_.bytes.size()) {
        if (of_.full) return ErrnoError("write", "f", ENOSPC);
        of_.bytes.resize(offset + part.size());
      }
      of_.bytes.replace(offset, part.size(), part);
      offset += part.size();
    }
    return absl::OkStatus();
  }
  absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const override {
    return std::string_view(of_.bytes)
        .substr(std::min<size_t>(offset, of_.bytes.size()))
        .copy(into, length);
  }
  absl::Status Sync() override {
    if (of_.sync_fails) return ErrnoError("sync", "f", EIO);
    ++of_.syncs;
    of_.durable = of_.bytes;
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> Size() const override { return of_.bytes.size(); }
  absl::Status Truncate(uint64_t length) override {
    of_.bytes.resize(length);
    return absl::OkStatus();
  }

 private:
  FileBytes& of_;
};

}  // namespace appendfs
