#include "chunkserver/store/block_sums.h"

#include <algorithm>

#include "common/crc32c.h"

namespace appendfs {
namespace {

using layout::kBlockBytes;

uint64_t RoomInBlock(uint64_t offset) { return kBlockBytes - offset % kBlockBytes; }

}  // namespace

PartSums SumParts(uint64_t offset, std::string_view payload, uint32_t crc32c) {
  if (payload.size() <= RoomInBlock(offset)) return {crc32c};
  PartSums parts;
  while (!payload.empty()) {
    std::string_view part = payload.substr(0, RoomInBlock(offset));
    parts.push_back(Crc32c(part));
    offset += part.size();
    payload.remove_prefix(part.size());
  }
  return parts;
}

size_t CountParts(uint64_t offset, uint64_t length) {
  return (offset % kBlockBytes + length + kBlockBytes - 1) / kBlockBytes;
}

uint32_t CombineParts(uint64_t offset, uint64_t length, const PartSums& parts) {
  uint32_t sum = 0;
  for (uint32_t part : parts) {
    uint64_t part_length = std::min(length, RoomInBlock(offset));
    sum = CombineCrc32c(sum, part, part_length);
    offset += part_length;
    length -= part_length;
  }
  return sum;
}

void BlockSums::Append(uint64_t payload_length, const PartSums& parts) {
  for (uint32_t part : parts) {
    uint64_t part_length = std::min(payload_length, RoomInBlock(length_));
    if (length_ % kBlockBytes == 0)
      sums_.push_back(part);
    else
      sums_.back() = CombineCrc32c(sums_.back(), part, part_length);
    length_ += part_length;
    payload_length -= part_length;
  }
}

void BlockSums::CutTo(uint64_t length, uint32_t last) {
  if (length >= length_) return;
  sums_.resize((length + kBlockBytes - 1) / kBlockBytes);
  if (length % kBlockBytes != 0) sums_.back() = last;
  length_ = length;
}

uint32_t BlockSums::Whole(uint64_t length) const {
  uint32_t sum = 0;
  for (uint64_t offset = 0; offset < length; offset += kBlockBytes)
    sum = CombineCrc32c(sum, sums_[offset / kBlockBytes], std::min(kBlockBytes, length_ - offset));
  return sum;
}

}  // namespace appendfs
