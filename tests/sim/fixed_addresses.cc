#include "tests/sim/fixed_addresses.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "absl/container/internal/raw_hash_set.h"
#include "absl/hash/internal/hash.h"

// Abseil's hash is seeded by the address of this: meson.build has the linker put the
// section at an address of its own. It stands before the one in Abseil's library.
namespace absl {
ABSL_NAMESPACE_BEGIN
namespace hash_internal {
[[gnu::section(".appendfs_hash_seed"), gnu::used]] const void* const MixingHashState::kSeed =
    nullptr;
}  // namespace hash_internal

// Chance, by an address too.
namespace container_internal {
bool ShouldInsertBackwards(size_t, const ctrl_t*) { return false; }
}  // namespace container_internal
ABSL_NAMESPACE_END
}  // namespace absl

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

namespace appendfs::sim {
bool FixAddresses() { return true; }
}  // namespace appendfs::sim

#else

namespace appendfs::sim {
namespace {

// Blocks of one size share a part of the address space. A table mixes the number of
// the page that it begins in into its hashes and takes as many of the low bits as its
// capacity has: so blocks begin in pages only whose numbers end in so many zeros.
constexpr uintptr_t kBase = 0x2000'0000'0000;
constexpr uintptr_t kPartBytes = 1ull << 39;
constexpr size_t kPageBytes = 4096;
constexpr size_t kSmallest = 16, kLargestStepped = 1024, kLargest = 128 << 20;
constexpr size_t kSteps = kLargestStepped / kSmallest;
constexpr size_t kParts = kSteps + 2 + 15;
// A table's entry takes nine bytes at least.
constexpr uintptr_t kPageStride = kPageBytes * (kPageBytes / 16);

struct Part {
  void* freed = nullptr;  // the first of a list
  uintptr_t next = 0, end = 0;
  uintptr_t run = 0;  // the next page, or block if that is larger
};

Part parts[kParts];
bool fixed = false;
std::atomic_flag busy = ATOMIC_FLAG_INIT;

size_t PartOf(size_t bytes) {
  if (bytes <= kLargestStepped) return bytes == 0 ? 0 : (bytes - 1) / kSmallest;
  return kSteps + static_cast<size_t>(std::bit_width(bytes - 1)) - 11;
}

size_t BytesOf(size_t part) {
  return part < kSteps ? (part + 1) * kSmallest : size_t{2048} << (part - kSteps);
}

uintptr_t StrideOf(size_t bytes) {
  return bytes <= kPageBytes ? kPageStride : std::min<uintptr_t>(bytes * 512, kLargest);
}

void* Take(size_t number) {
  Part& part = parts[number];
  if (part.freed != nullptr) {
    void* block = part.freed;
    part.freed = *static_cast<void**>(block);
    return block;
  }
  const size_t bytes = BytesOf(number);
  if (part.next + bytes > part.end) {
    if (part.run + StrideOf(bytes) > kPartBytes) return nullptr;
    part.next = kBase + number * kPartBytes + part.run;
    part.end = part.next + std::max(bytes, kPageBytes);
    part.run += StrideOf(bytes);
  }
  const uintptr_t block = part.next;
  part.next += bytes;
  return reinterpret_cast<void*>(block);
}

void* Allocate(size_t bytes) {
  if (fixed && bytes <= kLargest) {
    while (busy.test_and_set(std::memory_order_acquire)) {
    }
    void* block = Take(PartOf(bytes));
    busy.clear(std::memory_order_release);
    if (block != nullptr) return block;
  }
  void* block = std::malloc(std::max<size_t>(bytes, 1));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void Free(void* block) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(block) - kBase;
  if (at >= kParts * kPartBytes) return std::free(block);
  while (busy.test_and_set(std::memory_order_acquire)) {
  }
  Part& part = parts[at / kPartBytes];
  *static_cast<void**>(block) = part.freed;
  part.freed = block;
  busy.clear(std::memory_order_release);
}

}  // namespace

bool FixAddresses() {
  void* base = reinterpret_cast<void*>(kBase);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  if (mmap(base, kParts * kPartBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0) != base) return false;
  // Few of many pages are touched.
  if (madvise(base, kParts * kPartBytes, MADV_NOHUGEPAGE) != 0) return false;
  fixed = true;
  return true;
}

}  // namespace appendfs::sim

void* operator new(size_t bytes) { return appendfs::sim::Allocate(bytes); }
void operator delete(void* block) noexcept { appendfs::sim::Free(block); }
void operator delete(void* block, size_t) noexcept { appendfs::sim::Free(block); }

#endif
