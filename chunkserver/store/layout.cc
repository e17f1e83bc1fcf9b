#include "chunkserver/store/layout.h"

#include <charconv>

#include "absl/strings/str_format.h"

namespace appendfs::layout {
namespace {

std::string ChunkPath(const std::string& dir, ChunkHandle handle, const char* suffix) {
  return absl::StrFormat("%s/%016x%s", FanOutDirectory(dir, FanOutOf(handle)), handle.value(),
                         suffix);
}

template <class Number>
bool ParseAll(std::string_view text, Number& into, int base) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string FanOutDirectory(const std::string& dir, uint32_t index) {
  return absl::StrFormat("%s/%02x", ChunksDirectory(dir), index);
}

std::string DataPath(const std::string& dir, ChunkHandle handle) {
  return ChunkPath(dir, handle, ".data");
}

std::string SidecarPath(const std::string& dir, ChunkHandle handle) {
  return ChunkPath(dir, handle, ".meta");
}

std::string SegmentName(uint32_t number) { return absl::StrFormat("%04u.seg", number); }

std::optional<ChunkFileName> ParseChunkFileName(std::string_view name) {
  constexpr size_t kDigits = 16;
  uint64_t handle = 0;
  if (name.size() <= kDigits || !ParseAll(name.substr(0, kDigits), handle, 16) || handle == 0)
    return std::nullopt;
  std::string_view suffix = name.substr(kDigits);
  if (suffix == ".data") return ChunkFileName{ChunkHandle(handle), ChunkFileName::Kind::kData};
  if (suffix == ".meta") return ChunkFileName{ChunkHandle(handle), ChunkFileName::Kind::kSidecar};
  if (suffix.ends_with(".tmp") || suffix.ends_with(".import"))
    return ChunkFileName{ChunkHandle(handle), ChunkFileName::Kind::kUnfinished};
  return std::nullopt;
}

std::optional<uint32_t> ParseSegmentName(std::string_view name) {
  uint32_t number = 0;
  if (!name.ends_with(".seg") || !ParseAll(name.substr(0, name.size() - 4), number, 10))
    return std::nullopt;
  return number;
}

}  // namespace appendfs::layout
