#include "chunkserver/store/unapplied_tail.h"

#include <algorithm>
#include <cstring>

namespace appendfs {
namespace {

constexpr uint64_t kCopyBelow = 16 << 10;      // larger payloads are referenced
constexpr uint64_t kSmallestExtent = 4 << 10;  // doubles up to the largest
constexpr uint64_t kLargestExtent = 64 << 10;

}  // namespace

Buffer UnappliedTail::Extent::Slice(uint64_t from, uint64_t to) const {
  if (!own) return payload.Slice(from - offset, to - from);
  return Buffer(own, std::string_view(own.get() + (from - offset), to - from));
}

void UnappliedTail::Append(uint64_t offset, const Buffer& payload) {
  if (payload.size() >= kCopyBelow) {
    extents_.push_back({.offset = offset, .length = payload.size(), .payload = payload});
    return;
  }
  // Bytes beyond an extent's length were never handed out, so they may be
  // filled while readers hold what lies before them.
  std::string_view rest = payload.view();
  while (!rest.empty()) {
    if (extents_.empty() || extents_.back().length >= extents_.back().capacity) {
      uint64_t before = extents_.empty() ? 0 : extents_.back().capacity;
      uint64_t capacity = std::clamp(2 * before, kSmallestExtent, kLargestExtent);
      extents_.push_back({.offset = offset,
                          .own = std::make_shared_for_overwrite<char[]>(capacity),
                          .capacity = capacity});
    }
    Extent& last = extents_.back();
    uint64_t fits = std::min<uint64_t>(rest.size(), last.capacity - last.length);
    std::memcpy(last.own.get() + last.length, rest.data(), fits);
    last.length += fits;
    offset += fits;
    rest.remove_prefix(fits);
  }
}

void UnappliedTail::CutTo(uint64_t length) {
  while (!extents_.empty() && extents_.back().offset >= length) extents_.pop_back();
  if (extents_.empty()) return;
  Extent& last = extents_.back();
  last.length = std::min(last.length, length - last.offset);
  last.capacity = last.length;  // what follows may be in readers' hands: never fill it again
}

void UnappliedTail::DropBelow(uint64_t offset) {
  while (!extents_.empty() && extents_.front().end() <= offset) extents_.pop_front();
}

std::vector<UnappliedTail::Piece> UnappliedTail::Pieces(uint64_t from, uint64_t to) const {
  std::vector<Piece> pieces;
  auto at = std::partition_point(extents_.begin(), extents_.end(),
                                 [&](const Extent& extent) { return extent.end() <= from; });
  for (; at != extents_.end() && at->offset < to; ++at) {
    uint64_t begin = std::max(from, at->offset);
    uint64_t end = std::min(to, at->end());
    pieces.push_back({begin, at->Slice(begin, end)});
  }
  return pieces;
}

}  // namespace appendfs
