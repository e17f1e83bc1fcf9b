#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/ids.h"

namespace appendfs::layout {

// What a chunkserver's data directory looks like, and the formats in it. All
// integers are little-endian, all checksums CRC32C. docs/format.md says the
// same in prose, and why.
//
//   DIR/
//     identity                     text: format, journal id, cluster uuid, server id
//     lock                         held by the process that uses the directory
//     checkpoint                   where the journal begins, and what was deleted
//     journal/0001.seg ...         segments: preallocated, zero-filled, reused
//     chunks/00 ... chunks/ff/     by the lowest byte of the handle
//       00000000000002a7.data      the chunk's bytes, raw
//       00000000000002a7.meta      its sidecar
//       ….tmp, ….import            unfinished; removed at start
//
// identity (one line each, in this order; the last sums all bytes before it)
//
//   appendfs-chunkserver
//   format 1
//   journal 9f3c…                  16 hex digits, drawn when the directory was made
//   cluster 2b1e…                  uuid, or "-" before the first registration
//   server 3                       0 before the first registration
//   crc32c 89abcdef
//
// Journal segment: groups one after the other, each on a 512-byte boundary, so
// that no later write touches a sector that is durable already.
//
//   |<- group ->|<- group ->| 0 … 0 or what an earlier use left |
//
//   group   | header 64 | record | record | … | payload | payload | … | 0 to 512 |
//
//   header   0 u64 magic "AFSGRP01"
//            8 u64 journal id         of the identity file: tells foreign bytes
//           16 u64 sequence           rises by group, never used twice
//           24 u64 previous           sequence of the group before: a gap shows
//           32 u64 durable            groups up to here were synced before
//           40 u32 records            number; 0: a mark, which only tells `durable`
//           44 u32 record bytes
//           48 u64 payload bytes
//           56 u32 crc32c of the records
//           60 u32 crc32c of bytes 0…59
//
//   record   0 u8  type (1 create, 2 append, 3 fence, 4 conform, 5 delete, 6 damaged,
//                                   7 append in place)
//            1 u8  flags (bit 0: seal)
//            2 u16 0
//            4 u32 bytes that follow the handle
//            8 u64 handle
//           16 … per type, see record.cc
//
// A payload has no header: its length and checksum stand in its append record,
// so a bad payload is some replica's, not the group's. That of an append in
// place is in the chunk file.
//
// Sidecar
//
//   "AFSMETA1" | u32 format | cluster uuid | handle, inode, base offset,
//   capacity, epoch: u64 each | u8 flags (1 sealed, 2 damaged) | damage |
//   u64 length | u64 committed | u64 mtime | u64 sequence | u32 block bytes |
//   u32 blocks | u32 crc32c per block | dedup memory (protobuf) |
//   u32 crc32c of everything before
//
//   (strings: u32 length, bytes). `sequence`: records of the groups up to it
//   are contained; later ones count on top.
//
// checkpoint
//
//   "AFSCKPT1" | u32 format | u64 first live group | u64 highest handle |
//   u64 deleted below | u32 count | count × (u64 deleted handle) |
//   u32 crc32c of everything before

inline constexpr uint32_t kFormat = 1;
inline constexpr uint64_t kBlockBytes = 64 << 10;
inline constexpr uint64_t kGroupAlignment = 512;

inline std::string IdentityPath(const std::string& dir) { return dir + "/identity"; }
inline std::string LockPath(const std::string& dir) { return dir + "/lock"; }
inline std::string CheckpointPath(const std::string& dir) { return dir + "/checkpoint"; }
inline std::string JournalDirectory(const std::string& dir) { return dir + "/journal"; }
inline std::string ChunksDirectory(const std::string& dir) { return dir + "/chunks"; }

inline constexpr uint32_t kFanOut = 256;
std::string FanOutDirectory(const std::string& dir, uint32_t index);
inline uint32_t FanOutOf(ChunkHandle handle) {
  return static_cast<uint32_t>(handle.value() % kFanOut);
}
std::string DataPath(const std::string& dir, ChunkHandle handle);
std::string SidecarPath(const std::string& dir, ChunkHandle handle);
std::string SegmentName(uint32_t number);

// What a name in a fan-out directory is.
struct ChunkFileName {
  enum class Kind { kData, kSidecar, kUnfinished };
  ChunkHandle handle;
  Kind kind;
};
std::optional<ChunkFileName> ParseChunkFileName(std::string_view name);
std::optional<uint32_t> ParseSegmentName(std::string_view name);

}  // namespace appendfs::layout
