#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/ids.h"

namespace appendfs {

enum class LockMode : uint8_t { kShared, kExclusive };

// Bytes, both ends included.
struct LockSpan {
  uint64_t first = 0;
  uint64_t last = UINT64_MAX;
};

// A lock that somebody wants, has, or lets go.
struct FileLock {
  InodeId inode;
  // flock(2) and fcntl(2) know nothing of each other's locks. The former are of
  // the whole file and belong to an open file.
  bool whole_file = false;
  uint64_t owner = 0;  // of one client: a process or an open file
  LockSpan span;
  LockMode mode = LockMode::kShared;
  int32_t pid = 0;  // of the process, for who asks; 0: not known here
};

// What one owner has locked of one file: of every byte either nothing, or in
// one mode. Not thread-safe.
class LockRanges {
 public:
  struct Range {
    LockSpan span;
    LockMode mode = LockMode::kShared;
  };

  // The whole span gets this mode, whatever it had.
  void Set(LockSpan span, LockMode mode);
  void Clear(LockSpan span);

  bool empty() const { return by_first_.empty(); }
  // All of the span, in just this mode.
  bool Has(LockSpan span, LockMode mode) const;
  // The first range that does not go with another owner's lock.
  std::optional<Range> Collision(LockSpan span, LockMode mode) const;
  std::vector<Range> All() const;

 private:
  struct Held {
    uint64_t last = 0;
    LockMode mode = LockMode::kShared;
  };
  // Never overlapping; neighbours of one mode are one.
  std::map<uint64_t, Held> by_first_;
};

}  // namespace appendfs
