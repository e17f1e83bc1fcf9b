#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/ids.h"
#include "common/status.h"
#include "common/str_cat.h"
#include "master/kv.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// The tables of kv.h as records. A value that does not parse is INPUT_OUTPUT:
// the tables are damaged.

template <class Record>
absl::StatusOr<std::optional<Record>> GetRecord(const KeyValueReader& tables, Table table,
                                                std::string_view key) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> value, tables.Get(table, key));
  std::optional<Record> record;
  if (value && !record.emplace().ParseFromString(*value))
    return MakeError(v1::INPUT_OUTPUT,
                     StrCat("metadata table ", static_cast<int>(table), " is damaged: a ",
                            Record::descriptor()->name(), " does not parse"));
  return record;
}

template <class Record>
void PutRecord(KeyValueTransaction& tables, Table table, std::string_view key,
               const Record& record) {
  tables.Put(table, key, record.SerializeAsString());
}

// Numbers of the meta table. One that is missing is INPUT_OUTPUT.
absl::StatusOr<uint64_t> GetNumber(const KeyValueReader& tables, std::string_view key);
void PutNumber(KeyValueTransaction& tables, std::string_view key, uint64_t number);
// The next `count` numbers of a counter; the first of them.
absl::StatusOr<uint64_t> TakeNumbers(KeyValueTransaction& tables, std::string_view key,
                                     uint64_t count);

absl::StatusOr<std::optional<v1::InodeRecord>> FindInode(const KeyValueReader& tables,
                                                         InodeId inode);
// NO_ENTRY if there is none.
absl::StatusOr<v1::InodeRecord> GetInode(const KeyValueReader& tables, InodeId inode);
// Also NOT_DIRECTORY.
absl::StatusOr<v1::InodeRecord> GetDirectory(const KeyValueReader& tables, InodeId inode);
void PutInode(KeyValueTransaction& tables, const v1::InodeRecord& record);

absl::StatusOr<std::optional<v1::DentryRecord>> FindDentry(const KeyValueReader& tables,
                                                           InodeId parent, std::string_view name);
// NO_ENTRY if there is none.
absl::StatusOr<v1::DentryRecord> GetDentry(const KeyValueReader& tables, InodeId parent,
                                           std::string_view name);

absl::StatusOr<std::optional<v1::ChunkRecord>> FindChunk(const KeyValueReader& tables,
                                                         ChunkHandle handle);
// Visits a file's chunks in order, from `from_index` on, until it says false.
absl::Status ScanChunksOf(const KeyValueReader& tables, InodeId inode, uint32_t from_index,
                          const std::function<bool(v1::ChunkRecord&)>& visit);

// The inode's attributes, and its tail if that is not sealed.
absl::StatusOr<v1::Entry> EntryOf(const KeyValueReader& tables, const v1::InodeRecord& record);

}  // namespace appendfs
