#include "fuse/call_stats.h"

#include <algorithm>
#include <bit>

namespace appendfs::fuse {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(CallKind::kCount)> kNames = {
    "lookup",     "getattr",        "setattr", "readlink", "mknod",    "mkdir",     "unlink",
    "rmdir",      "symlink",        "rename",  "link",     "open",     "create",    "read",
    "write",      "flush",          "fsync",   "release",  "opendir",  "readdir",   "readdirplus",
    "releasedir", "fsyncdir",       "statfs",  "setxattr", "getxattr", "listxattr", "removexattr",
    "access",     "getlk",          "setlk",   "flock",    "ioctl",    "poll",      "fallocate",
    "lseek",      "copy_file_range"};

}  // namespace

std::string_view CallName(CallKind kind) { return kNames[static_cast<size_t>(kind)]; }

size_t CallStats::BucketOf(uint64_t ns) {
  const uint64_t micros = std::max<uint64_t>(ns / 1000, 1);
  const int octave = std::bit_width(micros) - 1;
  const uint64_t quarter = octave < 2 ? 0 : (micros >> (octave - 2)) & 3;
  return std::min<size_t>(4 * static_cast<size_t>(octave) + quarter, kBuckets - 1);
}

Duration CallStats::TopOf(size_t bucket) {
  const size_t octave = bucket / 4;
  return std::chrono::nanoseconds((1000ull << octave) * (5 + bucket % 4) / 4);
}

void CallStats::End(CallKind kind, Duration took) {
  OfKind& all = of(kind);
  const auto ns = static_cast<uint64_t>(std::max<int64_t>(took.count(), 0));
  all.in_flight.fetch_sub(1, std::memory_order_relaxed);
  all.total_ns.fetch_add(ns, std::memory_order_relaxed);
  all.buckets[BucketOf(ns)].fetch_add(1, std::memory_order_relaxed);
  uint64_t largest = all.max_ns.load(std::memory_order_relaxed);
  while (largest < ns && !all.max_ns.compare_exchange_weak(largest, ns)) {
  }
}

CallStats::Summary CallStats::Get(CallKind kind) const {
  const OfKind& all = of(kind);
  Summary summary{.kind = kind};
  summary.in_flight = all.in_flight.load(std::memory_order_relaxed);
  summary.total = Duration(all.total_ns.load(std::memory_order_relaxed));
  summary.max = Duration(all.max_ns.load(std::memory_order_relaxed));
  std::array<uint64_t, kBuckets> counts{};
  for (size_t i = 0; i < kBuckets; ++i) {
    counts[i] = all.buckets[i].load(std::memory_order_relaxed);
    summary.count += counts[i];
  }
  auto percentile = [&](uint64_t percent) {
    const uint64_t rank = (summary.count * percent + 99) / 100;
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts[i];
      if (seen >= rank) return std::min(TopOf(i), summary.max);
    }
    return summary.max;
  };
  if (summary.count > 0) {
    summary.p50 = percentile(50);
    summary.p99 = percentile(99);
  }
  return summary;
}

std::vector<CallStats::Summary> CallStats::GetAll() const {
  std::vector<Summary> all;
  for (size_t i = 0; i < kinds_.size(); ++i) {
    Summary summary = Get(static_cast<CallKind>(i));
    if (summary.count > 0 || summary.in_flight > 0) all.push_back(summary);
  }
  return all;
}

}  // namespace appendfs::fuse
