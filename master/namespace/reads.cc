#include "master/namespace/reads.h"

#include <algorithm>
#include <utility>

#include "master/layout.h"
#include "master/namespace/names.h"
#include "master/namespace/tables.h"

namespace appendfs {

absl::StatusOr<v1::Entry> Lookup(const KeyValueReader& tables, InodeId parent,
                                 std::string_view name) {
  APPENDFS_RETURN_IF_ERROR(CheckName(name));
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> dentry,
                            FindDentry(tables, parent, name));
  if (!dentry) {
    // Only now is it worth asking whether the parent is a directory at all.
    APPENDFS_RETURN_IF_ERROR(GetDirectory(tables, parent).status());
    return GetDentry(tables, parent, name).status();
  }
  return GetEntry(tables, InodeId(dentry->inode()));
}

absl::StatusOr<v1::Entry> GetEntry(const KeyValueReader& tables, InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(tables, inode));
  return EntryOf(tables, record);
}

absl::StatusOr<std::string> ReadLinkTarget(const KeyValueReader& tables, InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(tables, inode));
  if (record.attributes().type() != v1::SYMLINK)
    return MakeError(v1::INVALID, StrCat("inode ", inode, " is not a symlink"));
  return std::move(*record.mutable_symlink_target());
}

absl::StatusOr<v1::ReadDirectoryResponse> ReadDirectoryPage(
    const KeyValueReader& tables, const v1::ReadDirectoryRequest& request) {
  if (request.after().size() > kMaxNameBytes)
    return MakeError(v1::NAME_TOO_LONG, "a directory is read from a name that is too long");
  InodeId inode(request.inode());
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord directory, GetDirectory(tables, inode));
  int limit = static_cast<int>(kMaxPage);
  if (request.limit() != 0) limit = static_cast<int>(std::min(request.limit(), kMaxPage));

  v1::ReadDirectoryResponse response;
  response.set_parent(directory.attributes().parent());
  response.set_end(true);
  absl::Status damage;
  APPENDFS_RETURN_IF_ERROR(tables.Scan(
      Table::kDentries, layout::IdKey(inode), layout::DentryKey(inode, request.after()),
      [&](std::string_view key, std::string_view value) {
        std::string_view name = layout::DentryName(key);
        if (name.empty() || name == request.after()) return true;
        if (response.entries_size() == limit) {
          response.set_end(false);
          return false;
        }
        v1::DentryRecord record;
        if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          damage = MakeError(v1::INPUT_OUTPUT, StrCat("a name in inode ", inode, " is damaged"));
          return false;
        }
        v1::DirectoryEntry& entry = *response.add_entries();
        entry.set_name(std::string(name));
        entry.set_inode(record.inode());
        entry.set_type(record.type());
        return true;
      }));
  APPENDFS_RETURN_IF_ERROR(damage);
  if (!request.with_entries()) return response;
  for (v1::DirectoryEntry& entry : *response.mutable_entries()) {
    APPENDFS_ASSIGN_OR_RETURN(*entry.mutable_entry(), GetEntry(tables, InodeId(entry.inode())));
  }
  return response;
}

absl::StatusOr<v1::FilePlan> GetPlan(const KeyValueReader& tables, InodeId inode,
                                     uint32_t from_index) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(tables, inode));
  if (record.attributes().type() == v1::DIRECTORY)
    return MakeError(v1::IS_DIRECTORY, StrCat("inode ", inode, " is a directory"));
  if (record.attributes().type() != v1::REGULAR)
    return MakeError(v1::INVALID, StrCat("inode ", inode, " is not a regular file"));
  v1::FilePlan plan;
  *plan.mutable_attributes() = std::move(*record.mutable_attributes());
  APPENDFS_RETURN_IF_ERROR(ScanChunksOf(tables, inode, from_index, [&](v1::ChunkRecord& chunk) {
    *plan.add_chunks() = std::move(*chunk.mutable_chunk());
    return true;
  }));
  return plan;
}

absl::StatusOr<InodeId> ResolvePath(const KeyValueReader& tables, std::string_view path) {
  if (!path.starts_with('/'))
    return MakeError(v1::INVALID, StrCat("'", path, "': a path starts with '/'"));
  InodeId at = kRootInode;
  for (std::string_view rest = path; !rest.empty();) {
    size_t end = std::min(rest.find('/'), rest.size());
    std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord directory, GetDirectory(tables, at));
      at = InodeId(directory.attributes().parent());
      continue;
    }
    absl::StatusOr<v1::Entry> entry = Lookup(tables, at, name);
    if (!entry.ok())
      return MakeError(ReasonOf(entry.status()),
                       StrCat("'", path, "': ", ReasonName(ReasonOf(entry.status()))));
    at = InodeId(entry->attributes().inode());
  }
  return at;
}

absl::StatusOr<std::optional<v1::ChunkRecord>> GetChunk(const KeyValueReader& tables,
                                                        ChunkHandle handle) {
  return FindChunk(tables, handle);
}

absl::Status ScanChunks(const KeyValueReader& tables,
                        const std::function<bool(const v1::ChunkRecord&)>& visit) {
  bool parsed = true;
  APPENDFS_RETURN_IF_ERROR(
      tables.Scan(Table::kChunks, "", "", [&](std::string_view, std::string_view value) {
        v1::ChunkRecord record;
        parsed = record.ParseFromArray(value.data(), static_cast<int>(value.size()));
        return parsed && visit(record);
      }));
  if (!parsed) return MakeError(v1::INPUT_OUTPUT, "a chunk in the metadata tables is damaged");
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> CountInodes(const KeyValueReader& tables) {
  return GetNumber(tables, layout::kInodeCountKey);
}

}  // namespace appendfs
