#include "chunkserver/store/directory_files.h"

#include <iterator>
#include <sstream>

#include "absl/strings/str_format.h"
#include "chunkserver/store/byte_codec.h"
#include "chunkserver/store/layout.h"
#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr std::string_view kIdentityTitle = "appendfs-chunkserver";
constexpr std::string_view kCheckpointMagic = "AFSCKPT1";
constexpr std::string_view kNoCluster = "-";

absl::Status Unreadable(const std::string& path, std::string_view why) {
  return MakeError(v1::INPUT_OUTPUT, StrCat(path, ": ", why,
                                            "; restore it or start this server on "
                                            "an empty directory"));
}

absl::Status NewerFormat(const std::string& path, uint64_t format) {
  return MakeError(v1::VERSION_MISMATCH,
                   StrCat(path, ": format ", format, " is newer than this program's ",
                          layout::kFormat, "; use a newer appendfs-chunkserver"));
}

}  // namespace

std::string EncodeIdentity(const IdentityFile& file) {
  const StoreIdentity& identity = file.identity;
  std::string text = absl::StrFormat(
      "%s\nformat %u\njournal %016x\ncluster %s\nserver %u\n", ToAbsl(kIdentityTitle),
      layout::kFormat, file.journal_id,
      identity.cluster_uuid.empty() ? std::string(kNoCluster) : identity.cluster_uuid,
      identity.server.value());
  return absl::StrFormat("%scrc32c %08x\n", text, Crc32c(text));
}

absl::StatusOr<IdentityFile> DecodeIdentity(std::string_view content, const std::string& path) {
  std::istringstream in{std::string(content)};
  std::string title, key_format, key_journal, key_cluster, key_server, key_crc, cluster;
  uint64_t format = 0, journal = 0, server = 0;
  uint32_t crc = 0;
  in >> title >> key_format >> format;
  if (!in || title != kIdentityTitle || key_format != "format")
    return Unreadable(path, "not an identity file");
  if (format > layout::kFormat) return NewerFormat(path, format);
  in >> key_journal >> std::hex >> journal >> std::dec >> key_cluster >> cluster >> key_server >>
      server >> key_crc >> std::hex >> crc;
  size_t summed = content.rfind("crc32c ");
  if (!in || key_journal != "journal" || key_cluster != "cluster" || key_server != "server" ||
      key_crc != "crc32c" || summed == std::string_view::npos)
    return Unreadable(path, "lines missing");
  if (Crc32c(content.substr(0, summed)) != crc) return Unreadable(path, "checksum mismatch");
  IdentityFile file;
  file.journal_id = journal;
  if (cluster != kNoCluster) file.identity.cluster_uuid = cluster;
  file.identity.server = ServerId(server);
  return file;
}

void Tombstones::Add(ChunkHandle handle) {
  if (handle < below_) return;
  handles_.insert(handle);
  if (handles_.size() <= kMost) return;
  RaiseTo(*std::next(handles_.begin(), static_cast<ptrdiff_t>(handles_.size() / 2)));
}

void Tombstones::RaiseTo(ChunkHandle handle) {
  if (handle <= below_) return;
  below_ = handle;
  handles_.erase(handles_.begin(), handles_.lower_bound(below_));
}

std::string EncodeCheckpoint(const CheckpointFile& file) {
  std::string out;
  ByteWriter writer(out);
  writer.Bytes(kCheckpointMagic);
  writer.U32(layout::kFormat);
  writer.U64(file.first_live_group);
  writer.U64(file.highest_handle);
  writer.U64(file.deleted.below().value());
  writer.U32(static_cast<uint32_t>(file.deleted.handles().size()));
  for (ChunkHandle handle : file.deleted.handles()) writer.U64(handle.value());
  writer.U32(Crc32c(out));
  return out;
}

absl::StatusOr<CheckpointFile> DecodeCheckpoint(std::string_view content, const std::string& path) {
  ByteReader reader(content);
  if (reader.Bytes(kCheckpointMagic.size()) != kCheckpointMagic)
    return Unreadable(path, "not a checkpoint file");
  uint32_t format = reader.U32();
  if (format > layout::kFormat) return NewerFormat(path, format);
  if (content.size() < 4 || Crc32c(content.substr(0, content.size() - 4)) !=
                                ByteReader(content.substr(content.size() - 4)).U32())
    return Unreadable(path, "checksum mismatch");
  CheckpointFile file;
  file.first_live_group = reader.U64();
  file.highest_handle = reader.U64();
  file.deleted.RaiseTo(ChunkHandle(reader.U64()));
  for (uint32_t left = reader.U32(); left > 0 && reader.ok(); --left)
    file.deleted.Add(ChunkHandle(reader.U64()));
  if (!reader.ok()) return Unreadable(path, "too short");
  return file;
}

}  // namespace appendfs
