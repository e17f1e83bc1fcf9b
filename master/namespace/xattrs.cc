// Extended attributes: kept in a table of their own, so that inodes, which are
// read all the time, stay small.

#include <optional>
#include <string>
#include <vector>

#include "master/layout.h"
#include "master/namespace/names.h"
#include "master/namespace/operation.h"
#include "master/namespace/reads.h"
#include "master/namespace/removal.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

// What listxattr(2) can return and what one value may be, so that neither ever
// fails for what was set.
constexpr size_t kMaxXattrBytes = 64 << 10;

// With the NUL that ends a name in a list.
size_t SizeOf(std::string_view name, std::string_view value) {
  return name.size() + 1 + value.size();
}

absl::Status NoAttribute(InodeId inode, std::string_view name) {
  return MakeError(v1::NO_ATTRIBUTE, StrCat("inode ", inode, " has no attribute '", name, "'"));
}

absl::StatusOr<std::optional<std::string>> FindXattr(const KeyValueReader& tables, InodeId inode,
                                                     std::string_view name) {
  return tables.Get(Table::kXattrs, layout::XattrKey(inode, name));
}

void PutChanged(Operation& operation, v1::InodeRecord& record, size_t xattr_bytes) {
  record.set_xattr_bytes(static_cast<uint32_t>(xattr_bytes));
  record.mutable_attributes()->set_ctime_ns(operation.now_ns());
  PutInode(operation.tables, record);
}

}  // namespace

absl::Status ApplySetXattr(const v1::SetXattrRequest& request, Operation& operation) {
  const std::string& name = request.name();
  APPENDFS_RETURN_IF_ERROR(CheckXattrName(name));
  if (request.create() && request.replace())
    return MakeError(v1::INVALID, "an attribute cannot both be new and replace one");
  InodeId inode(request.inode());
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(operation.tables, inode));
  const v1::FileType type = record.attributes().type();
  if (type != v1::REGULAR && type != v1::DIRECTORY)
    return MakeError(v1::NOT_PERMITTED,
                     StrCat("inode ", inode, ": only files and directories have attributes"));
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> before,
                            FindXattr(operation.tables, inode, name));
  if (before && request.create())
    return MakeError(v1::ENTRY_EXISTS, StrCat("inode ", inode, " has an attribute '", name, "'"));
  if (!before && request.replace()) return NoAttribute(inode, name);
  const size_t others = record.xattr_bytes() - (before ? SizeOf(name, *before) : 0);
  const size_t total = others + SizeOf(name, request.value());
  if (total > kMaxXattrBytes)
    return MakeError(v1::NO_SPACE, StrCat("inode ", inode, ": attributes of ", total,
                                          " bytes, at most ", kMaxXattrBytes, " are possible"));
  operation.tables.Put(Table::kXattrs, layout::XattrKey(inode, name), request.value());
  PutChanged(operation, record, total);
  return absl::OkStatus();
}

absl::Status ApplyRemoveXattr(const v1::RemoveXattrRequest& request, Operation& operation) {
  const std::string& name = request.name();
  APPENDFS_RETURN_IF_ERROR(CheckXattrName(name));
  InodeId inode(request.inode());
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(operation.tables, inode));
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> before,
                            FindXattr(operation.tables, inode, name));
  if (!before) return NoAttribute(inode, name);
  operation.tables.Delete(Table::kXattrs, layout::XattrKey(inode, name));
  PutChanged(operation, record, record.xattr_bytes() - SizeOf(name, *before));
  return absl::OkStatus();
}

absl::Status DiscardXattrs(Operation& operation, const v1::InodeRecord& record) {
  if (record.xattr_bytes() == 0) return absl::OkStatus();
  InodeId inode(record.attributes().inode());
  APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> names, ListXattrs(operation.tables, inode));
  for (const std::string& name : names)
    operation.tables.Delete(Table::kXattrs, layout::XattrKey(inode, name));
  return absl::OkStatus();
}

absl::StatusOr<std::string> GetXattr(const KeyValueReader& tables, InodeId inode,
                                     std::string_view name) {
  APPENDFS_RETURN_IF_ERROR(CheckXattrName(name));
  APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> value, FindXattr(tables, inode, name));
  if (value) return *std::move(value);
  APPENDFS_RETURN_IF_ERROR(GetInode(tables, inode).status());
  return NoAttribute(inode, name);
}

absl::StatusOr<std::vector<std::string>> ListXattrs(const KeyValueReader& tables, InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(tables, inode));
  std::vector<std::string> names;
  if (record.xattr_bytes() == 0) return names;
  APPENDFS_RETURN_IF_ERROR(tables.Scan(Table::kXattrs, layout::IdKey(inode), layout::IdKey(inode),
                                       [&](std::string_view key, std::string_view) {
                                         names.emplace_back(layout::XattrName(key));
                                         return true;
                                       }));
  return names;
}

}  // namespace appendfs
