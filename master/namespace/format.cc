#include "master/namespace/format.h"

#include <cstdio>
#include <optional>
#include <random>

#include "master/layout.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

// RFC 4122, version 4.
std::string MakeUuid() {
  std::random_device random;
  uint32_t words[4];
  for (uint32_t& word : words) word = random();
  words[1] = (words[1] & 0xffff0fff) | 0x4000;
  words[2] = (words[2] & 0x3fffffff) | 0x80000000;
  char text[37];
  std::snprintf(text, sizeof(text), "%08x-%04x-%04x-%04x-%04x%08x", words[0], words[1] >> 16,
                words[1] & 0xffff, words[2] >> 16, words[2] & 0xffff, words[3]);
  return text;
}

v1::InodeRecord MakeRoot(uint64_t now_ns) {
  v1::InodeRecord record;
  v1::Attributes& root = *record.mutable_attributes();
  root.set_inode(kRootInode.value());
  root.set_parent(kRootInode.value());
  root.set_type(v1::DIRECTORY);
  root.set_mode(0755);
  root.set_nlink(2);
  root.set_atime_ns(now_ns);
  root.set_mtime_ns(now_ns);
  root.set_ctime_ns(now_ns);
  return record;
}

}  // namespace

absl::StatusOr<bool> FormatIfEmpty(KeyValueTransaction& tables, uint64_t now_ns) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> version,
                            tables.Get(Table::kMeta, layout::kFormatVersionKey));
  if (version) return false;
  PutNumber(tables, layout::kFormatVersionKey, layout::kFormatVersion);
  tables.Put(Table::kMeta, layout::kClusterUuidKey, MakeUuid());
  PutNumber(tables, layout::kAppliedIndexKey, 0);
  PutNumber(tables, layout::kIncarnationKey, 0);
  PutNumber(tables, layout::kNextInodeKey, kRootInode.Next().value());
  PutNumber(tables, layout::kNextHandleKey, 1);
  PutNumber(tables, layout::kNextClientKey, 1);
  PutNumber(tables, layout::kNextServerKey, 1);
  PutNumber(tables, layout::kInodeCountKey, 1);
  PutInode(tables, MakeRoot(now_ns));
  return true;
}

absl::StatusOr<Identity> ReadIdentity(const KeyValueReader& tables) {
  APPENDFS_ASSIGN_OR_RETURN(uint64_t version, GetNumber(tables, layout::kFormatVersionKey));
  if (version > layout::kFormatVersion)
    return MakeError(v1::VERSION_MISMATCH,
                     StrCat("the metadata has format ", version, ", this program knows up to ",
                            layout::kFormatVersion, ": run the newer appendfs-master"));
  Identity identity;
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> uuid,
                            tables.Get(Table::kMeta, layout::kClusterUuidKey));
  if (!uuid) return MakeError(v1::INPUT_OUTPUT, "the metadata tables are damaged: no cluster_uuid");
  identity.cluster_uuid = *std::move(uuid);
  APPENDFS_ASSIGN_OR_RETURN(identity.applied_index, GetNumber(tables, layout::kAppliedIndexKey));
  return identity;
}

}  // namespace appendfs
