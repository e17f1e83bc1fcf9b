#include "client/chunk_list.h"

#include <algorithm>

#include "common/str_cat.h"

namespace appendfs {

void ChunkList::Merge(uint32_t from_index, const v1::FilePlan& plan) {
  auto changed = std::find_if(chunks_.begin(), chunks_.end(), [from_index](const v1::Chunk& chunk) {
    return chunk.index() >= from_index;
  });
  chunks_.erase(changed, chunks_.end());
  chunks_.insert(chunks_.end(), plan.chunks().begin(), plan.chunks().end());
  loaded_ = true;
}

uint64_t ChunkList::settled_end() const {
  if (chunks_.empty()) return 0;
  const v1::Chunk& last = chunks_.back();
  // 0 while it is open: only its primary knows.
  return last.base_offset() + last.length();
}

absl::StatusOr<std::vector<Piece>> ChunkList::Cut(uint64_t offset, uint64_t length,
                                                  uint64_t known_size, uint64_t piece_bytes) const {
  std::vector<Piece> pieces;
  const uint64_t end = offset + length;
  auto chunk = std::upper_bound(
      chunks_.begin(), chunks_.end(), offset,
      [](uint64_t value, const v1::Chunk& other) { return value < other.base_offset(); });
  if (chunk != chunks_.begin()) --chunk;
  for (; offset < end && chunk != chunks_.end(); ++chunk) {
    bool sealed = chunk->state() == v1::SEALED;
    uint64_t base = chunk->base_offset();
    uint64_t chunk_end =
        sealed ? base + chunk->length() : std::min(known_size, base + chunk->capacity());
    while (offset >= base && offset < std::min(end, chunk_end)) {
      uint64_t boundary = (offset / piece_bytes + 1) * piece_bytes;
      uint64_t stop = std::min({end, chunk_end, boundary});
      pieces.push_back(
          {*chunk, offset - base, static_cast<uint32_t>(stop - offset), chunk_end - base});
      offset = stop;
    }
  }
  if (offset < end)
    return MakeError(v1::STALE_EPOCH,
                     StrCat("the file's known chunks end at ", offset, ", wanted is ", end));
  return pieces;
}

}  // namespace appendfs
