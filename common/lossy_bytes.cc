#include "common/lossy_bytes.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace appendfs {

absl::StatusOr<LossyBytes> LossyBytes::Over(std::unique_ptr<File> base) {
  APPENDFS_ASSIGN_OR_RETURN(uint64_t size, base->Size());
  return LossyBytes(std::move(base), size);
}

void LossyBytes::Write(uint64_t offset, std::span<const std::string_view> parts) {
  std::string bytes;
  for (std::string_view part : parts) bytes += part;
  if (bytes.empty()) return;
  const uint64_t end = offset + bytes.size();
  DropRange(offset, end);
  extents_.emplace(offset, std::move(bytes));
  size_ = std::max(size_, end);
}

void LossyBytes::Truncate(uint64_t length) {
  DropRange(length, std::numeric_limits<uint64_t>::max());
  kept_ = std::min(kept_, length);
  size_ = length;
}

void LossyBytes::DropRange(uint64_t begin, uint64_t end) {
  auto at = extents_.lower_bound(begin);
  if (at != extents_.begin()) {
    auto before = std::prev(at);
    const uint64_t before_end = before->first + before->second.size();
    if (before_end > end) extents_.emplace(end, before->second.substr(end - before->first));
    if (before_end > begin) before->second.resize(begin - before->first);
    at = std::next(before);
  }
  while (at != extents_.end() && at->first < end) {
    const uint64_t at_end = at->first + at->second.size();
    if (at_end > end) extents_.emplace(end, at->second.substr(end - at->first));
    at = extents_.erase(at);
    if (at_end > end) break;
  }
}

absl::StatusOr<size_t> LossyBytes::Read(uint64_t offset, char* into, size_t length) const {
  if (offset >= size_) return 0;
  const uint64_t end = offset + std::min<uint64_t>(length, size_ - offset);
  std::memset(into, 0, end - offset);
  if (offset < kept_)
    APPENDFS_RETURN_IF_ERROR(base_->Read(offset, into, std::min(end, kept_) - offset).status());
  auto at = extents_.upper_bound(offset);
  if (at != extents_.begin()) --at;
  for (; at != extents_.end() && at->first < end; ++at) {
    const uint64_t from = std::max(offset, at->first);
    const uint64_t to = std::min(end, at->first + at->second.size());
    if (from < to)
      std::memcpy(into + (from - offset), at->second.data() + (from - at->first), to - from);
  }
  return end - offset;
}

absl::Status LossyBytes::Sync() {
  if (kept_ < base_size_) {
    APPENDFS_RETURN_IF_ERROR(base_->Truncate(kept_));
    base_size_ = kept_;
  }
  for (const auto& [offset, bytes] : extents_) {
    APPENDFS_RETURN_IF_ERROR(base_->Write(offset, bytes));
    base_size_ = std::max(base_size_, offset + bytes.size());
  }
  if (base_size_ < size_) {
    APPENDFS_RETURN_IF_ERROR(base_->Truncate(size_));
    base_size_ = size_;
  }
  kept_ = size_;
  extents_.clear();
  return base_->Sync();
}

}  // namespace appendfs
