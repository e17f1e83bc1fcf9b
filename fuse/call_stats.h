#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/clock.h"

namespace appendfs::fuse {

// The kernel's requests that are answered, by the names libfuse has for them.
enum class CallKind : uint8_t {
  kLookup,
  kGetattr,
  kSetattr,
  kReadlink,
  kMknod,
  kMkdir,
  kUnlink,
  kRmdir,
  kSymlink,
  kRename,
  kLink,
  kOpen,
  kCreate,
  kRead,
  kWrite,
  kFlush,
  kFsync,
  kRelease,
  kOpendir,
  kReaddir,
  kReaddirplus,
  kReleasedir,
  kFsyncdir,
  kStatfs,
  kSetxattr,
  kGetxattr,
  kListxattr,
  kRemovexattr,
  kAccess,
  kGetlk,
  kSetlk,
  kFlock,
  kIoctl,
  kPoll,
  kFallocate,
  kLseek,
  kCopyFileRange,
  kCount
};
std::string_view CallName(CallKind kind);

// How often each kind was called and how long it took: a histogram whose
// buckets are a fifth wide, so that a percentile is right to as much.
// Thread-safe, without locks.
class CallStats {
 public:
  void Begin(CallKind kind) { of(kind).in_flight.fetch_add(1, std::memory_order_relaxed); }
  void End(CallKind kind, Duration took);

  struct Summary {
    CallKind kind{};
    uint64_t count = 0;      // answered
    uint64_t in_flight = 0;  // not yet
    Duration p50{}, p99{}, max{}, total{};
  };
  Summary Get(CallKind kind) const;
  // Of all kinds that were ever called.
  std::vector<Summary> GetAll() const;

 private:
  // Four buckets per doubling, from a microsecond to more than an hour.
  static constexpr size_t kBuckets = 4 * 32;
  struct OfKind {
    std::atomic<uint64_t> in_flight{0}, total_ns{0}, max_ns{0};
    std::array<std::atomic<uint64_t>, kBuckets> buckets{};
  };
  static size_t BucketOf(uint64_t ns);
  static Duration TopOf(size_t bucket);
  OfKind& of(CallKind kind) { return kinds_[static_cast<size_t>(kind)]; }
  const OfKind& of(CallKind kind) const { return kinds_[static_cast<size_t>(kind)]; }

  std::array<OfKind, static_cast<size_t>(CallKind::kCount)> kinds_;
};

}  // namespace appendfs::fuse
