// What the master keeps on disk. One RocksDB column family per table of kv.h;
// values are messages of proto/meta_log.proto; numbers in keys are unsigned,
// 64 bits unless said otherwise, big-endian, so that keys sort as numbers do.
//
//   family     key                              value
//   ---------  -------------------------------  ------------------------------------
//   inodes     inode                            InodeRecord
//   dentries   parent inode | name              DentryRecord       (name: 1-255 bytes)
//   chunks     inode | index (32 bits)          ChunkRecord
//   handles    handle                           HandleRecord       (→ chunks)
//   orphans    inode                            empty              (no name, still open)
//   garbage    handle                           GarbageRecord      (to delete on servers)
//   sessions   client                           SessionRecord
//   servers    server                           ServerRecord
//   results    client | mutation sequence       MetaResult
//   meta       name of a setting, in ASCII      see below
//   xattrs     inode | name                     the value's bytes  (name: 6-255 bytes)
//
// A directory is one prefix scan of dentries by its inode, in the order of the
// names' bytes; a file's plan is one prefix scan of chunks by its inode.
//
//   meta key         value
//   ---------------  ------------------------------------------------------------
//   format_version   number: kFormatVersion of the master that made the tables
//   cluster_uuid     text, 36 characters, made at the first start
//   applied_index    number: index of the last operation applied
//   incarnation      number: rises with every start of the master
//   next_inode       number: the next inode to give out (the root, 1, is there from
//                    the first start), and so on:
//   next_handle      number
//   next_client      number
//   next_server      number
//   inode_count      number: inodes in use, orphans included
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/ids.h"

namespace appendfs::layout {

// Raised when an older master could misread the tables. A master refuses
// tables that are newer than itself.
inline constexpr uint64_t kFormatVersion = 1;

inline constexpr std::string_view kFormatVersionKey = "format_version";
inline constexpr std::string_view kClusterUuidKey = "cluster_uuid";
inline constexpr std::string_view kAppliedIndexKey = "applied_index";
inline constexpr std::string_view kIncarnationKey = "incarnation";
inline constexpr std::string_view kNextInodeKey = "next_inode";
inline constexpr std::string_view kNextHandleKey = "next_handle";
inline constexpr std::string_view kNextClientKey = "next_client";
inline constexpr std::string_view kNextServerKey = "next_server";
inline constexpr std::string_view kInodeCountKey = "inode_count";

// Numbers, in keys and as values of the meta table: 8 bytes, big-endian.
std::string EncodeNumber(uint64_t number);
std::optional<uint64_t> DecodeNumber(std::string_view bytes);  // exactly 8 bytes

// One id: inodes, handles, orphans, garbage, sessions, servers; also the
// prefix of everything below that starts with one.
template <class Tag>
std::string IdKey(StrongId<Tag> id) {
  return EncodeNumber(id.value());
}
template <class Id>
std::optional<Id> DecodeIdKey(std::string_view key) {
  std::optional<uint64_t> number = DecodeNumber(key);
  if (!number) return std::nullopt;
  return Id(*number);
}

std::string DentryKey(InodeId parent, std::string_view name);
// The name in a dentry's key; a view of `key`.
std::string_view DentryName(std::string_view key);

std::string XattrKey(InodeId inode, std::string_view name);
// The name in an extended attribute's key; a view of `key`.
std::string_view XattrName(std::string_view key);

std::string ChunkKey(InodeId inode, uint32_t index);

std::string ResultKey(ClientId client, uint64_t sequence);
std::optional<uint64_t> ResultSequence(std::string_view key);

}  // namespace appendfs::layout
