#include "master/namespace/directories.h"

#include "master/layout.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

absl::Status ChangeDirectory(Operation& operation, InodeId inode, int entries, int subdirectories) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetDirectory(operation.tables, inode));
  v1::Attributes& attributes = *record.mutable_attributes();
  attributes.set_sealed_bytes(attributes.sealed_bytes() + entries);
  attributes.set_nlink(attributes.nlink() + subdirectories);
  attributes.set_mtime_ns(operation.now_ns());
  attributes.set_ctime_ns(operation.now_ns());
  PutInode(operation.tables, record);
  return absl::OkStatus();
}

void PutDentry(Operation& operation, InodeId parent, std::string_view name, Target target) {
  v1::DentryRecord record;
  record.set_inode(target.inode.value());
  record.set_type(target.type);
  PutRecord(operation.tables, Table::kDentries, layout::DentryKey(parent, name), record);
}

int Subdirectories(Target target) { return target.type == v1::DIRECTORY ? 1 : 0; }

}  // namespace

absl::Status AddName(Operation& operation, InodeId parent, std::string_view name, Target target) {
  PutDentry(operation, parent, name, target);
  return ChangeDirectory(operation, parent, 1, Subdirectories(target));
}

absl::Status RemoveName(Operation& operation, InodeId parent, std::string_view name,
                        Target target) {
  operation.tables.Delete(Table::kDentries, layout::DentryKey(parent, name));
  return ChangeDirectory(operation, parent, -1, -Subdirectories(target));
}

absl::Status ReplaceName(Operation& operation, InodeId parent, std::string_view name, Target before,
                         Target after) {
  PutDentry(operation, parent, name, after);
  return ChangeDirectory(operation, parent, 0, Subdirectories(after) - Subdirectories(before));
}

}  // namespace appendfs
