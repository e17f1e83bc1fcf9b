#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/descriptor.h"
#include "common/file_system.h"
#include "common/status.h"

namespace appendfs {

// A second way to a file, past the page cache (O_DIRECT), for what gains by it:
// short writes that are synced at once into space that is there already, which
// take a fifth less time and CPU; and long ones that nobody reads soon, whose
// pages would only push others out, and cost three times the CPU where memory
// must be found for them. Used by one thread at a time; owned by the file.
class DirectWriter {
 public:
  static constexpr size_t kMostShortBytes = 64 << 10;
  static constexpr size_t kLeastLongBytes = 256 << 10;
  static constexpr size_t kSectorBytes = 512;

  // By descriptor, since the file may have another name by now; `path` is for messages.
  DirectWriter(int fd, const std::string& path);
  ~DirectWriter();

  static bool TakesShort(uint64_t offset, size_t bytes) {
    return bytes <= kMostShortBytes && bytes % kSectorBytes == 0 && offset % kSectorBytes == 0;
  }
  // False: this file system or disk does not do it, or has done part of it.
  absl::StatusOr<bool> WriteShort(uint64_t offset, std::span<const std::string_view> parts);
  // `bytes` is that of all parts. What lies before the first whole page and
  // behind the last one goes through `file`. False: as above.
  absl::StatusOr<bool> WriteLong(uint64_t offset, size_t bytes,
                                 std::span<const std::string_view> parts, LocalFile& file);

 private:
  absl::StatusOr<bool> Write(uint64_t offset, const char* from, size_t bytes);

  const Descriptor fd_;
  const std::string& path_;
  bool refused_ = false;
  struct Aligned;
  std::unique_ptr<Aligned> buffer_;  // for short ones, made when it is first of use
};

}  // namespace appendfs
