#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/file_system.h"

namespace appendfs {

// The bytes of one file of a LossyFileSystem: those the base has, as far as
// they count, and over them what was written since the last sync. Not
// thread-safe.
class LossyBytes {
 public:
  // `base` is open for writing.
  static absl::StatusOr<LossyBytes> Over(std::unique_ptr<File> base);

  void Write(uint64_t offset, std::span<const std::string_view> parts);
  void Truncate(uint64_t length);
  absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const;
  uint64_t size() const { return size_; }
  bool unsynced() const { return !extents_.empty() || kept_ != size_ || base_size_ != size_; }
  absl::Status Sync();

 private:
  LossyBytes(std::unique_ptr<File> base, uint64_t size)
      : base_(std::move(base)), base_size_(size), kept_(size), size_(size) {}
  void DropRange(uint64_t begin, uint64_t end);

  std::unique_ptr<File> base_;
  uint64_t base_size_;
  uint64_t kept_;  // bytes of the base that count; what follows was cut
  uint64_t size_;
  std::map<uint64_t, std::string> extents_;  // by offset, disjoint
};

}  // namespace appendfs
