#include "chunkserver/store/read_plan.h"

#include <algorithm>
#include <cstring>

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

using layout::kBlockBytes;

uint64_t BlockFloor(uint64_t offset) { return offset / kBlockBytes * kBlockBytes; }

}  // namespace

ReadPlan::ReadPlan(const StoredReplica& replica, uint64_t offset, uint64_t length)
    : offset_(offset),
      end_(offset + length),
      cuts_(replica.cuts()),
      begin_(offset),
      block_end_(offset + length) {
  if (offset_ < replica.applied()) {
    // Blocks that touch the file are read from their beginning, and to their
    // end if that may lie in the part wanted.
    begin_ = BlockFloor(offset_);
    const uint64_t file_blocks_end = BlockFloor(replica.applied() + kBlockBytes - 1);
    if (end_ < file_blocks_end)
      block_end_ = std::min(BlockFloor(end_ + kBlockBytes - 1), replica.length());
    else
      block_end_ = std::max(end_, std::min(file_blocks_end, replica.length()));
    file_begin_ = begin_;
    file_end_ = std::min(replica.applied(), block_end_);
    first_block_ = begin_ / kBlockBytes;
    for (uint64_t at = begin_; at < file_end_; at += kBlockBytes)
      sums_.push_back(replica.sums().sums()[at / kBlockBytes]);
  }
  const uint64_t tail_begin = std::max(begin_, replica.applied());
  if (tail_begin < block_end_) pieces_ = replica.tail().Pieces(tail_begin, block_end_);
}

absl::StatusOr<ReadPlan::Result> ReadPlan::Run(const File* file) const {
  const uint64_t total = block_end_ - begin_;
  auto bytes = std::make_shared_for_overwrite<char[]>(total);
  if (needs_file()) {
    APPENDFS_ASSIGN_OR_RETURN(size_t read,
                              file->Read(file_begin_, bytes.get(), file_end_ - file_begin_));
    if (read < file_end_ - file_begin_)
      return MakeError(v1::CHECKSUM_MISMATCH, StrCat("chunk file ends at ", file_begin_ + read,
                                                     ", should have ", file_end_, " bytes"));
  }
  for (const UnappliedTail::Piece& piece : pieces_)
    std::memcpy(bytes.get() + (piece.offset - begin_), piece.bytes.data(), piece.bytes.size());

  Result result;
  uint64_t at = begin_;
  for (uint64_t block_end; at < block_end_ && (at / kBlockBytes - first_block_) < sums_.size();
       at = block_end) {
    block_end = std::min(at + kBlockBytes, block_end_);
    APPENDFS_RETURN_IF_ERROR(Verify(bytes.get(), at, block_end, result.crc32c));
  }
  if (at < end_) {
    at = std::max(at, offset_);
    result.crc32c = ExtendCrc32c(result.crc32c, {bytes.get() + (at - begin_), end_ - at});
  }
  result.payload =
      Buffer(bytes, std::string_view(bytes.get() + (offset_ - begin_), end_ - offset_));
  return result;
}

// Checks one block, summing each of its bytes once, and adds the part of it
// that was asked for to `sum`.
absl::Status ReadPlan::Verify(const char* bytes, uint64_t begin, uint64_t end,
                              uint32_t& sum) const {
  const uint64_t from = std::clamp(offset_, begin, end);
  const uint64_t to = std::clamp(end_, begin, end);
  auto part = [&](uint64_t a, uint64_t b) { return Crc32c({bytes + (a - begin_), b - a}); };
  const uint32_t wanted = part(from, to);
  uint32_t whole = CombineCrc32c(part(begin, from), wanted, to - from);
  whole = CombineCrc32c(whole, part(to, end), end - to);
  const uint64_t block = begin / kBlockBytes;
  if (whole != sums_[block - first_block_])
    return MakeError(v1::CHECKSUM_MISMATCH,
                     StrCat("checksum mismatch in the 64 KiB block at ", block * kBlockBytes));
  sum = CombineCrc32c(sum, wanted, to - from);
  return absl::OkStatus();
}

}  // namespace appendfs
