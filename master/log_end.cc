#include "master/log_end.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr uint64_t kBlockBytes = 32 << 10;
constexpr uint64_t kHeadBytes = 7;
constexpr uint64_t kSectorBytes = 512;

enum FragmentType : uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

struct Fragment {
  uint8_t type = 0;
  uint64_t end = 0;  // in the block, as its head says
  bool valid = false;
};

uint64_t Byte(std::string_view bytes, uint64_t at) { return static_cast<uint8_t>(bytes[at]); }

uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8U;
  return (rotated >> 17) | (rotated << 15);
}

// At a place in `block` where a head fits.
Fragment FragmentAt(std::string_view block, uint64_t at) {
  Fragment fragment;
  fragment.type = static_cast<uint8_t>(block[at + 6]);
  const uint64_t length = Byte(block, at + 4) | (Byte(block, at + 5) << 8);
  fragment.end = at + kHeadBytes + length;
  if (fragment.type < kFull || fragment.type > kLast || fragment.end > block.size())
    return fragment;
  const auto crc = static_cast<uint32_t>(Byte(block, at) | (Byte(block, at + 1) << 8) |
                                         (Byte(block, at + 2) << 16) | (Byte(block, at + 3) << 24));
  fragment.valid = Crc32c(block.substr(at + 6, 1 + length)) == Unmask(crc);
  return fragment;
}

bool AllZero(std::string_view bytes) { return bytes.find_first_not_of('\0') == bytes.npos; }

class LogScan {
 public:
  LogScan(const LocalFile& file, uint64_t size)
      : file_(file), size_(size), block_(kBlockBytes, 0) {}

  // The end of the last whole record before anything else; see invalid().
  absl::StatusOr<uint64_t> FindWholeRecords() {
    uint64_t end = 0;
    bool in_record = false;
    for (uint64_t offset = 0; offset < size_ && !invalid_; offset += kBlockBytes) {
      APPENDFS_ASSIGN_OR_RETURN(const std::string_view block, ReadBlock(offset));
      for (uint64_t at = 0; at + kHeadBytes <= block.size();) {
        const Fragment fragment = FragmentAt(block, at);
        const bool starts = fragment.type == kFull || fragment.type == kFirst;
        if (!fragment.valid || starts == in_record) {
          invalid_ = offset + at;
          claimed_end_ = offset + fragment.end;
          break;
        }
        at = fragment.end;
        in_record = fragment.type == kFirst || fragment.type == kMiddle;
        if (!in_record) end = offset + at;
      }
    }
    return end;
  }

  // Whether what begins at invalid() is the rest of a write that was never synced.
  absl::StatusOr<bool> IsTorn() {
    APPENDFS_ASSIGN_OR_RETURN(const uint64_t written_end, FindWrittenEnd());
    if (written_end <= *invalid_) return true;
    APPENDFS_ASSIGN_OR_RETURN(const bool more, HasRecordBefore(written_end));
    if (more) return false;
    if (claimed_end_ > size_) return true;
    return HasUnwrittenSector(std::max(written_end, claimed_end_));
  }

  // Where the first fragment is that cannot follow those before.
  std::optional<uint64_t> invalid() const { return invalid_; }

 private:
  absl::StatusOr<std::string_view> ReadBlock(uint64_t offset) {
    APPENDFS_ASSIGN_OR_RETURN(const size_t read, file_.Read(offset, block_.data(), kBlockBytes));
    return std::string_view(block_).substr(0, read);
  }

  uint64_t InvalidBlock() const { return *invalid_ / kBlockBytes * kBlockBytes; }

  absl::StatusOr<uint64_t> FindWrittenEnd() {
    uint64_t end = 0;
    for (uint64_t offset = InvalidBlock(); offset < size_; offset += kBlockBytes) {
      APPENDFS_ASSIGN_OR_RETURN(const std::string_view block, ReadBlock(offset));
      if (const size_t last = block.find_last_not_of('\0'); last != block.npos)
        end = offset + last + 1;
    }
    return end;
  }

  // Whether any record starts behind the invalid fragment, wherever: its
  // length may be what is wrong.
  absl::StatusOr<bool> HasRecordBefore(uint64_t end) {
    for (uint64_t offset = InvalidBlock(); offset < end; offset += kBlockBytes) {
      APPENDFS_ASSIGN_OR_RETURN(const std::string_view block, ReadBlock(offset));
      for (uint64_t at = *invalid_ < offset ? 0 : *invalid_ + 1 - offset;
           at + kHeadBytes <= block.size(); ++at) {
        const auto type = static_cast<uint8_t>(block[at + 6]);
        if ((type == kFull || type == kFirst) && FragmentAt(block, at).valid) return true;
      }
    }
    return false;
  }

  absl::StatusOr<bool> HasUnwrittenSector(uint64_t end) {
    for (uint64_t offset = InvalidBlock(); offset < end; offset += kBlockBytes) {
      APPENDFS_ASSIGN_OR_RETURN(const std::string_view block, ReadBlock(offset));
      for (uint64_t sector = 0; sector < block.size(); sector += kSectorBytes) {
        const uint64_t from = std::max(sector, *invalid_ < offset ? 0 : *invalid_ - offset);
        const uint64_t to = std::min({sector + kSectorBytes, end - offset, block.size()});
        if (from < to && AllZero(block.substr(from, to - from))) return true;
      }
    }
    return false;
  }

  const LocalFile& file_;
  const uint64_t size_;
  std::string block_;
  std::optional<uint64_t> invalid_;
  uint64_t claimed_end_ = 0;
};

}  // namespace

absl::StatusOr<uint64_t> FindLogEnd(const LocalFile& file, const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  LogScan scan(file, size);
  APPENDFS_ASSIGN_OR_RETURN(const uint64_t end, scan.FindWholeRecords());
  if (!scan.invalid()) return end;
  APPENDFS_ASSIGN_OR_RETURN(const bool torn, scan.IsTorn());
  if (torn) return end;
  return MakeError(
      v1::INPUT_OUTPUT,
      StrCat(path, " is damaged at byte ", *scan.invalid(),
             ": there is a record that is neither whole nor a write that was cut off"));
}

}  // namespace appendfs
