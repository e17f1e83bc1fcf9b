#include "master/namespace/tables.h"

#include "master/layout.h"

namespace appendfs {
namespace {

absl::Status Damaged(std::string_view what) {
  return MakeError(v1::INPUT_OUTPUT, StrCat("the metadata tables are damaged: ", what));
}

}  // namespace

absl::StatusOr<uint64_t> GetNumber(const KeyValueReader& tables, std::string_view key) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> value, tables.Get(Table::kMeta, key));
  std::optional<uint64_t> number;
  if (value) number = layout::DecodeNumber(*value);
  if (!number) return Damaged(StrCat("no ", key));
  return *number;
}

void PutNumber(KeyValueTransaction& tables, std::string_view key, uint64_t number) {
  tables.Put(Table::kMeta, key, layout::EncodeNumber(number));
}

absl::StatusOr<uint64_t> TakeNumbers(KeyValueTransaction& tables, std::string_view key,
                                     uint64_t count) {
  APPENDFS_ASSIGN_OR_RETURN(uint64_t first, GetNumber(tables, key));
  PutNumber(tables, key, first + count);
  return first;
}

absl::StatusOr<std::optional<v1::InodeRecord>> FindInode(const KeyValueReader& tables,
                                                         InodeId inode) {
  return GetRecord<v1::InodeRecord>(tables, Table::kInodes, layout::IdKey(inode));
}

absl::StatusOr<v1::InodeRecord> GetInode(const KeyValueReader& tables, InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::InodeRecord> record, FindInode(tables, inode));
  if (!record)
    return MakeError(v1::NO_ENTRY, StrCat("inode ", inode, ": no such file or directory"));
  return *std::move(record);
}

absl::StatusOr<v1::InodeRecord> GetDirectory(const KeyValueReader& tables, InodeId inode) {
  absl::StatusOr<v1::InodeRecord> record = GetInode(tables, inode);
  if (record.ok() && record->attributes().type() != v1::DIRECTORY)
    return MakeError(v1::NOT_DIRECTORY, StrCat("inode ", inode, ": not a directory"));
  return record;
}

void PutInode(KeyValueTransaction& tables, const v1::InodeRecord& record) {
  PutRecord(tables, Table::kInodes, layout::IdKey(InodeId(record.attributes().inode())), record);
}

absl::StatusOr<std::optional<v1::DentryRecord>> FindDentry(const KeyValueReader& tables,
                                                           InodeId parent, std::string_view name) {
  return GetRecord<v1::DentryRecord>(tables, Table::kDentries, layout::DentryKey(parent, name));
}

absl::StatusOr<v1::DentryRecord> GetDentry(const KeyValueReader& tables, InodeId parent,
                                           std::string_view name) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> dentry,
                            FindDentry(tables, parent, name));
  if (!dentry)
    return MakeError(v1::NO_ENTRY,
                     StrCat("'", name, "' in inode ", parent, ": no such file or directory"));
  return *std::move(dentry);
}

absl::StatusOr<std::optional<v1::ChunkRecord>> FindChunk(const KeyValueReader& tables,
                                                         ChunkHandle handle) {
  APPENDFS_ASSIGN_OR_RETURN(
      std::optional<v1::HandleRecord> place,
      GetRecord<v1::HandleRecord>(tables, Table::kHandles, layout::IdKey(handle)));
  if (!place) return std::nullopt;
  return GetRecord<v1::ChunkRecord>(tables, Table::kChunks,
                                    layout::ChunkKey(InodeId(place->inode()), place->index()));
}

absl::Status ScanChunksOf(const KeyValueReader& tables, InodeId inode, uint32_t from_index,
                          const std::function<bool(v1::ChunkRecord&)>& visit) {
  bool parsed = true;
  APPENDFS_RETURN_IF_ERROR(
      tables.Scan(Table::kChunks, layout::IdKey(inode), layout::ChunkKey(inode, from_index),
                  [&](std::string_view key, std::string_view value) {
                    v1::ChunkRecord record;
                    parsed = record.ParseFromArray(value.data(), static_cast<int>(value.size()));
                    return parsed && visit(record);
                  }));
  if (!parsed) return Damaged(StrCat("a chunk of inode ", inode, " does not parse"));
  return absl::OkStatus();
}

absl::StatusOr<v1::Entry> EntryOf(const KeyValueReader& tables, const v1::InodeRecord& record) {
  v1::Entry entry;
  *entry.mutable_attributes() = record.attributes();
  if (record.tail_handle() == 0 || record.tail_sealed()) return entry;
  InodeId inode(record.attributes().inode());
  APPENDFS_ASSIGN_OR_RETURN(
      std::optional<v1::ChunkRecord> tail,
      GetRecord<v1::ChunkRecord>(tables, Table::kChunks,
                                 layout::ChunkKey(inode, record.chunk_count() - 1)));
  if (!tail) return Damaged(StrCat("inode ", inode, " has no last chunk"));
  *entry.mutable_tail() = std::move(*tail->mutable_chunk());
  return entry;
}

}  // namespace appendfs
