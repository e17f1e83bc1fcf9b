#include "chunkserver/store/sidecar.h"

#include "chunkserver/store/byte_codec.h"
#include "chunkserver/store/layout.h"
#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr std::string_view kMagic = "AFSMETA1";
constexpr uint8_t kSealed = 1;
constexpr uint8_t kDamaged = 2;

absl::Status Bad(const std::string& path, std::string_view why) {
  return MakeError(v1::REPLICA_DAMAGED, StrCat(path, ": ", why));
}

}  // namespace

std::string EncodeSidecar(const Sidecar& sidecar) {
  std::string out;
  ByteWriter writer(out);
  writer.Bytes(kMagic);
  writer.U32(layout::kFormat);
  writer.String(sidecar.cluster_uuid);
  writer.U64(sidecar.identity.handle.value());
  writer.U64(sidecar.identity.inode.value());
  writer.U64(sidecar.identity.base_offset);
  writer.U64(sidecar.identity.capacity);
  writer.U64(sidecar.epoch.value());
  writer.U8(
      static_cast<uint8_t>((sidecar.sealed ? kSealed : 0) | (sidecar.damaged ? kDamaged : 0)));
  writer.String(sidecar.damage);
  writer.U64(sidecar.length);
  writer.U64(sidecar.committed_length);
  writer.U64(sidecar.mtime_ns);
  writer.U64(sidecar.sequence);
  writer.U32(layout::kBlockBytes);
  writer.U32(static_cast<uint32_t>(sidecar.block_crc32c.size()));
  for (uint32_t crc : sidecar.block_crc32c) writer.U32(crc);
  writer.String(sidecar.memory.SerializeAsString());
  writer.U32(Crc32c(out));
  return out;
}

absl::StatusOr<Sidecar> DecodeSidecar(std::string_view content, const std::string& path,
                                      ChunkHandle handle) {
  if (content.size() < kMagic.size() + 4) return Bad(path, "sidecar is cut short");
  std::string_view summed = content.substr(0, content.size() - 4);
  if (Crc32c(summed) != ByteReader(content.substr(summed.size())).U32())
    return Bad(path, "sidecar checksum mismatch");
  ByteReader reader(summed);
  if (reader.Bytes(kMagic.size()) != kMagic) return Bad(path, "not a sidecar");
  if (uint32_t format = reader.U32(); format > layout::kFormat)
    return Bad(path, StrCat("sidecar format ", format, " is newer than ", layout::kFormat));
  Sidecar sidecar;
  sidecar.cluster_uuid = std::string(reader.String());
  sidecar.identity.handle = ChunkHandle(reader.U64());
  sidecar.identity.inode = InodeId(reader.U64());
  sidecar.identity.base_offset = reader.U64();
  sidecar.identity.capacity = reader.U64();
  sidecar.epoch = Epoch(reader.U64());
  uint8_t flags = reader.U8();
  sidecar.sealed = flags & kSealed;
  sidecar.damaged = flags & kDamaged;
  sidecar.damage = std::string(reader.String());
  sidecar.length = reader.U64();
  sidecar.committed_length = reader.U64();
  sidecar.mtime_ns = reader.U64();
  sidecar.sequence = reader.U64();
  uint32_t block_bytes = reader.U32();
  uint32_t blocks = reader.U32();
  if (blocks > reader.left() / 4) return Bad(path, "sidecar is malformed");
  sidecar.block_crc32c.reserve(blocks);
  for (uint32_t i = 0; i < blocks; ++i) sidecar.block_crc32c.push_back(reader.U32());
  std::string_view memory = reader.String();
  if (!reader.AtEnd() ||
      !sidecar.memory.ParseFromArray(memory.data(), static_cast<int>(memory.size())) ||
      block_bytes != layout::kBlockBytes ||
      blocks != (sidecar.length + layout::kBlockBytes - 1) / layout::kBlockBytes)
    return Bad(path, "sidecar is malformed");
  if (sidecar.identity.handle != handle)
    return Bad(path, StrCat("sidecar is of chunk ", sidecar.identity.handle));
  return sidecar;
}

}  // namespace appendfs
