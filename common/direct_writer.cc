#include "common/direct_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "common/pages.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr size_t kRoundBytes = 512 << 10;

// Goes through parts from the front.
class Cursor {
 public:
  explicit Cursor(std::span<const std::string_view> parts) : parts_(parts) {}
  // What comes next, whole pages of it, if the disk can take it from where it
  // lies and it is enough to be worth a call of its own. Else empty.
  std::string_view TakePages() {
    const std::string_view rest = parts_.front().substr(done_);
    const size_t bytes = rest.size() - rest.size() % kPageBytes;
    if (bytes < DirectWriter::kLeastLongBytes) return {};
    if (reinterpret_cast<uintptr_t>(rest.data()) % kPageBytes != 0) return {};
    Skip(bytes);
    return rest.substr(0, bytes);
  }
  void CopyTo(char* to, size_t bytes) {
    while (bytes > 0) {
      const std::string_view rest = parts_.front().substr(done_);
      const size_t count = std::min(bytes, rest.size());
      std::memcpy(to, rest.data(), count);
      to += count;
      bytes -= count;
      Skip(count);
    }
  }

 private:
  // Within the first part.
  void Skip(size_t bytes) {
    done_ += bytes;
    if (done_ < parts_.front().size()) return;
    parts_ = parts_.subspan(1);
    done_ = 0;
  }

  std::span<const std::string_view> parts_;
  size_t done_ = 0;  // of the first
};

struct alignas(kPageBytes) Round {
  char bytes[kRoundBytes];
};

}  // namespace

struct alignas(kPageBytes) DirectWriter::Aligned {
  char bytes[kMostShortBytes];
};

DirectWriter::DirectWriter(int fd, const std::string& path)
    : fd_(Retry([&] {
        return ::open(StrCat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
      })),
      path_(path) {}

DirectWriter::~DirectWriter() = default;

absl::StatusOr<bool> DirectWriter::Write(uint64_t offset, const char* from, size_t bytes) {
  if (fd_.get() < 0 || refused_) return false;
  const ssize_t written =
      Retry([&] { return ::pwrite(fd_.get(), from, bytes, static_cast<off_t>(offset)); });
  refused_ = written < 0 && errno == EINVAL;
  if (written < 0 && !refused_) return ErrnoError("write", path_, errno);
  return written == static_cast<ssize_t>(bytes);
}

absl::StatusOr<bool> DirectWriter::WriteShort(uint64_t offset,
                                              std::span<const std::string_view> parts) {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<Aligned>();
  size_t bytes = 0;
  for (std::string_view part : parts) {
    std::memcpy(buffer_->bytes + bytes, part.data(), part.size());
    bytes += part.size();
  }
  return Write(offset, buffer_->bytes, bytes);
}

absl::StatusOr<bool> DirectWriter::WriteLong(uint64_t offset, size_t bytes,
                                             std::span<const std::string_view> parts,
                                             LocalFile& file) {
  // One per thread, not per file: chunks are many.
  thread_local const auto round = std::make_unique_for_overwrite<Round>();
  Cursor from(parts);
  for (const uint64_t end = offset + bytes; offset < end;) {
    const size_t into_page = offset % kPageBytes;
    if (into_page == 0) {
      const std::string_view pages = from.TakePages();
      if (!pages.empty()) {
        APPENDFS_ASSIGN_OR_RETURN(const bool written, Write(offset, pages.data(), pages.size()));
        if (!written) return false;
        offset += pages.size();
        continue;
      }
    }
    size_t count = std::min<size_t>(kRoundBytes, end - offset);
    if (into_page != 0) count = std::min(count, kPageBytes - into_page);
    const bool whole_pages = into_page == 0 && count >= kPageBytes;
    if (whole_pages) count -= count % kPageBytes;
    from.CopyTo(round->bytes, count);
    if (whole_pages) {
      APPENDFS_ASSIGN_OR_RETURN(const bool written, Write(offset, round->bytes, count));
      if (!written) return false;
    } else {
      APPENDFS_RETURN_IF_ERROR(file.Write(offset, std::string_view(round->bytes, count)));
    }
    offset += count;
  }
  return true;
}

}  // namespace appendfs
