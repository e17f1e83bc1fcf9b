#include "master/log_file.h"

#include <algorithm>
#include <array>

namespace appendfs {
namespace {

constexpr uint64_t kSectorBytes = 512;

uint64_t UpToSector(uint64_t offset) {
  return (offset + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

}  // namespace

void LogFile::Append(std::string_view bytes) {
  absl::MutexLock lock(&mutex_);
  tail_.append(bytes);
}

absl::Status LogFile::Sync() {
  absl::MutexLock lock(&mutex_);
  if (failure_.ok() && tail_.size() > tail_durable_) failure_ = WriteDown();
  return failure_;
}

// Only whole sectors are written, the last one padded with the zeros that are
// there already: that is what goes past the page cache.
absl::Status LogFile::WriteDown() {
  const uint64_t end = UpToSector(tail_offset_ + tail_.size());
  if (end > space_end_ && !grows_) APPENDFS_RETURN_IF_ERROR(MakeSpace(end));
  if (end > space_end_) {
    APPENDFS_RETURN_IF_ERROR(file_->Write(tail_offset_, tail_));
    APPENDFS_RETURN_IF_ERROR(file_->Sync());
  } else {
    const std::string padding(end - tail_offset_ - tail_.size(), '\0');
    const std::array<std::string_view, 2> parts = {tail_, padding};
    APPENDFS_RETURN_IF_ERROR(file_->WriteDurably(
        tail_offset_, std::span(parts).first(padding.empty() ? 1 : parts.size())));
  }
  const size_t whole = tail_.size() / kSectorBytes * kSectorBytes;
  tail_.erase(0, whole);
  tail_offset_ += whole;
  tail_durable_ = tail_.size();
  return absl::OkStatus();
}

absl::Status LogFile::MakeSpace(uint64_t end) {
  static const std::string kZeros(kAheadBytes, '\0');
  const std::string_view zeros = kZeros;
  // Not below what is durable: the sector it ends in is written again.
  uint64_t from = std::max(space_end_, UpToSector(tail_offset_ + tail_durable_));
  for (const uint64_t until = end + kAheadBytes; from < until;) {
    const std::string_view part = zeros.substr(0, until - from);
    if (!file_->WriteAside(from, std::span(&part, 1)).ok()) {
      // A full disk: from now on the log grows as any file does, and what
      // it needs itself is what says that there is no room.
      grows_ = true;
      return absl::OkStatus();
    }
    from += part.size();
  }
  APPENDFS_RETURN_IF_ERROR(file_->Sync());
  space_end_ = from;
  return absl::OkStatus();
}

absl::Status LogFile::Close() {
  absl::MutexLock lock(&mutex_);
  if (closed_) return failure_;
  closed_ = true;
  if (!failure_.ok()) return failure_;
  if (tail_.size() > tail_durable_) failure_ = file_->Write(tail_offset_, tail_);
  if (failure_.ok()) failure_ = file_->Truncate(tail_offset_ + tail_.size());
  return failure_;
}

uint64_t LogFile::size() const {
  absl::MutexLock lock(&mutex_);
  return tail_offset_ + tail_.size();
}

}  // namespace appendfs
