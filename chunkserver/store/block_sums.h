#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "chunkserver/store/layout.h"

namespace appendfs {

// The checksums of the parts of a payload between block boundaries: one part
// for all that lies in one block, which is the usual case.
using PartSums = absl::InlinedVector<uint32_t, 1>;
// Of `payload` placed at `offset` of the chunk. A payload within one block is
// not read: its sum is `crc32c`, which the caller vouches for.
PartSums SumParts(uint64_t offset, std::string_view payload, uint32_t crc32c);
// How many there are of `length` bytes.
size_t CountParts(uint64_t offset, uint64_t length);
// The checksum of the whole payload, from its parts.
uint32_t CombineParts(uint64_t offset, uint64_t length, const PartSums& parts);

// CRC32C of every block of a chunk, the last one as far as it is filled. A
// byte is summed once on its way: appended parts are combined, not read again.
class BlockSums {
 public:
  BlockSums() = default;
  BlockSums(std::vector<uint32_t> sums, uint64_t length)
      : sums_(std::move(sums)), length_(length) {}

  void Append(uint64_t payload_length, const PartSums& parts);
  // Cuts; `last` is the sum of what stays of the last block, if it is cut.
  void CutTo(uint64_t length, uint32_t last);

  uint64_t length() const { return length_; }
  const std::vector<uint32_t>& sums() const { return sums_; }
  // Of the blocks before `length` together; `length` is a block boundary or
  // the end.
  uint32_t Whole(uint64_t length) const;

 private:
  std::vector<uint32_t> sums_;
  uint64_t length_ = 0;
};

}  // namespace appendfs
