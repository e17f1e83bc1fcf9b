#include "fuse/description.h"

#include <algorithm>
#include <cstdint>

#include "common/chunk_state.h"
#include "common/ids.h"
#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

constexpr size_t kMaxValueBytes = 64 << 10;
constexpr size_t kNoteBytes = 64;  // room for the line that says what is missing

// An open chunk's length only its primary knows, and so the file's size.
uint64_t LengthOf(const v1::Chunk& chunk, uint64_t size) {
  if (chunk.state() == v1::SEALED || chunk.state() == v1::PARKED) return chunk.length();
  return size - std::min(size, chunk.base_offset());
}

std::string ChunkLine(const v1::Chunk& chunk, const FileStatus& status) {
  return StrCat(chunk.index(), " handle=", chunk.handle(), " epoch=", chunk.epoch(), " ",
                NameOf(chunk.state()), " offset=", chunk.base_offset(),
                " bytes=", LengthOf(chunk, status.size), "\n");
}

std::string ReplicaLine(const v1::Chunk& chunk) {
  std::string line = StrCat(chunk.index());
  for (const v1::ServerAddress& replica : chunk.replicas()) {
    line += ' ';
    line += replica.address().empty() ? StrCat("server=", replica.server_id()) : replica.address();
  }
  return line + "\n";
}

// The last lines of all, as many as an attribute can hold.
template <class MakeLine>
std::string Lines(const std::vector<v1::Chunk>& chunks, MakeLine make_line) {
  std::vector<std::string> lines;
  size_t bytes = 0;
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    std::string line = make_line(*chunk);
    if (bytes + line.size() > kMaxValueBytes - kNoteBytes) {
      lines.push_back(StrCat("(", chunks.rend() - chunk, " earlier chunks are left out)\n"));
      break;
    }
    bytes += line.size();
    lines.push_back(std::move(line));
  }
  std::string all;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) all += *line;
  return all;
}

std::string_view HealthOf(const std::vector<v1::Chunk>& chunks) {
  bool degraded = false;
  for (const v1::Chunk& chunk : chunks) {
    const auto reachable =
        std::count_if(chunk.replicas().begin(), chunk.replicas().end(),
                      [](const v1::ServerAddress& replica) { return !replica.address().empty(); });
    if (reachable == 0) return "unavailable";
    degraded |= reachable < kReplicationFactor;
  }
  return degraded ? "degraded" : "ok";
}

}  // namespace

absl::StatusOr<std::string> DescribeFile(std::string_view name, const FileStatus& status,
                                         std::string_view cluster_uuid,
                                         const std::vector<v1::Chunk>& chunks) {
  if (name == "appendfs.id") return StrCat(cluster_uuid, ":", status.inode);
  if (status.type == v1::REGULAR) {
    if (name == "appendfs.length") return StrCat(status.size);
    if (name == "appendfs.health") return std::string(HealthOf(chunks));
    if (name == "appendfs.replicas") return Lines(chunks, ReplicaLine);
    if (name == "appendfs.chunks")
      return Lines(chunks, [&](const v1::Chunk& chunk) { return ChunkLine(chunk, status); });
  }
  return MakeError(v1::NO_ATTRIBUTE, StrCat("inode=", status.inode, " has no ", name));
}

}  // namespace appendfs::fuse
