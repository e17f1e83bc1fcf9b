#include "master/namespace/removal.h"

#include <algorithm>

#include "master/layout.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

bool IsOpen(const Operation& operation, InodeId inode) {
  const auto& open = operation.op.open_inodes();
  return std::find(open.begin(), open.end(), inode.value()) != open.end();
}

// Removes an inode that has no name, with everything it has.
absl::Status Purge(Operation& operation, const v1::InodeRecord& inode_record) {
  InodeId inode(inode_record.attributes().inode());
  std::vector<v1::Chunk> chunks;
  APPENDFS_RETURN_IF_ERROR(ScanChunksOf(operation.tables, inode, 0, [&](v1::ChunkRecord& record) {
    chunks.push_back(std::move(*record.mutable_chunk()));
    return true;
  }));
  for (const v1::Chunk& chunk : chunks) DiscardChunk(operation, chunk);
  APPENDFS_RETURN_IF_ERROR(DiscardXattrs(operation, inode_record));
  operation.tables.Delete(Table::kInodes, layout::IdKey(inode));
  APPENDFS_ASSIGN_OR_RETURN(uint64_t count, GetNumber(operation.tables, layout::kInodeCountKey));
  PutNumber(operation.tables, layout::kInodeCountKey, count - 1);
  return absl::OkStatus();
}

// The inode that loses its last name if (parent, name) is removed or replaced.
absl::StatusOr<std::vector<InodeId>> LosingLastName(const KeyValueReader& tables, InodeId parent,
                                                    std::string_view name, InodeId except) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> dentry,
                            FindDentry(tables, parent, name));
  if (!dentry || dentry->type() == v1::DIRECTORY || InodeId(dentry->inode()) == except)
    return std::vector<InodeId>();
  InodeId inode(dentry->inode());
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::InodeRecord> record, FindInode(tables, inode));
  if (!record || record->attributes().nlink() > 1) return std::vector<InodeId>();
  return std::vector<InodeId>{inode};
}

}  // namespace

absl::Status DropLink(Operation& operation, InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(operation.tables, inode));
  v1::Attributes& attributes = *record.mutable_attributes();
  if (attributes.type() == v1::DIRECTORY) return Purge(operation, record);
  if (attributes.nlink() <= 1 && !IsOpen(operation, inode)) return Purge(operation, record);
  attributes.set_nlink(attributes.nlink() - 1);
  attributes.set_ctime_ns(operation.now_ns());
  PutInode(operation.tables, record);
  if (attributes.nlink() == 0) operation.tables.Put(Table::kOrphans, layout::IdKey(inode), "");
  return absl::OkStatus();
}

absl::Status CheckEmpty(const v1::InodeRecord& directory) {
  const v1::Attributes& attributes = directory.attributes();
  if (attributes.sealed_bytes() == 0) return absl::OkStatus();
  return MakeError(v1::DIRECTORY_NOT_EMPTY,
                   StrCat("inode ", attributes.inode(), ": a directory that is not empty (",
                          attributes.sealed_bytes(), " entries)"));
}

absl::StatusOr<std::vector<InodeId>> InodesLosingLastName(const v1::MetaOp& op,
                                                          const KeyValueReader& tables) {
  switch (op.op_case()) {
    case v1::MetaOp::kUnlink:
      return LosingLastName(tables, InodeId(op.unlink().parent()), op.unlink().name(), InodeId());
    case v1::MetaOp::kRename: {
      const v1::RenameRequest& rename = op.rename();
      if (rename.exchange() || rename.no_replace()) return std::vector<InodeId>();
      APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> source,
                                FindDentry(tables, InodeId(rename.parent()), rename.name()));
      if (!source) return std::vector<InodeId>();
      return LosingLastName(tables, InodeId(rename.new_parent()), rename.new_name(),
                            InodeId(source->inode()));
    }
    case v1::MetaOp::kPurgeOrphans: {
      const auto& inodes = op.purge_orphans().inodes();
      std::vector<InodeId> losing;
      for (uint64_t inode : inodes) losing.push_back(InodeId(inode));
      return losing;
    }
    default: return std::vector<InodeId>();
  }
}

void DiscardChunk(Operation& operation, const v1::Chunk& chunk) {
  ChunkHandle handle(chunk.handle());
  v1::GarbageRecord garbage;
  for (const v1::ServerAddress& replica : chunk.replicas())
    garbage.add_servers(replica.server_id());
  PutRecord(operation.tables, Table::kGarbage, layout::IdKey(handle), garbage);
  operation.tables.Delete(Table::kHandles, layout::IdKey(handle));
  operation.tables.Delete(Table::kChunks, layout::ChunkKey(InodeId(chunk.inode()), chunk.index()));
  operation.result.add_garbage(handle.value());
}

absl::Status ApplyPurgeOrphans(const v1::PurgeOrphansOp& request, Operation& operation) {
  for (uint64_t number : request.inodes()) {
    InodeId inode(number);
    APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> orphan,
                              operation.tables.Get(Table::kOrphans, layout::IdKey(inode)));
    if (!orphan || IsOpen(operation, inode)) continue;
    operation.tables.Delete(Table::kOrphans, layout::IdKey(inode));
    APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(operation.tables, inode));
    APPENDFS_RETURN_IF_ERROR(Purge(operation, record));
  }
  return absl::OkStatus();
}

}  // namespace appendfs
