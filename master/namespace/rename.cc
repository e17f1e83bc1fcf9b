// rename(2), with RENAME_NOREPLACE and RENAME_EXCHANGE.

#include "master/namespace/directories.h"
#include "master/namespace/names.h"
#include "master/namespace/operation.h"
#include "master/namespace/removal.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

// One side of a rename.
struct Place {
  InodeId parent;
  const std::string& name;
};

Target TargetOf(const v1::DentryRecord& dentry) { return {InodeId(dentry.inode()), dentry.type()}; }

// INVALID if `directory` is `moved` or lies below it.
absl::Status CheckNotBelow(const KeyValueReader& tables, InodeId moved, InodeId directory) {
  for (InodeId at = directory;;) {
    if (at == moved)
      return MakeError(v1::INVALID, StrCat("inode ", moved, " cannot move into its own subtree"));
    if (at == kRootInode) return absl::OkStatus();
    APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetDirectory(tables, at));
    at = InodeId(record.attributes().parent());
  }
}

absl::Status CheckMove(const KeyValueReader& tables, Target moved, InodeId from, InodeId to) {
  if (moved.type != v1::DIRECTORY || from == to) return absl::OkStatus();
  return CheckNotBelow(tables, moved.inode, to);
}

// Its ctime, and for a directory whose it is.
absl::Status Touch(Operation& operation, InodeId inode, InodeId new_parent) {
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(operation.tables, inode));
  v1::Attributes& attributes = *record.mutable_attributes();
  attributes.set_ctime_ns(operation.now_ns());
  if (attributes.type() == v1::DIRECTORY) attributes.set_parent(new_parent.value());
  PutInode(operation.tables, record);
  return absl::OkStatus();
}

absl::Status Exchange(Operation& operation, const Place& from, Target source, const Place& to,
                      Target target) {
  APPENDFS_RETURN_IF_ERROR(CheckMove(operation.tables, source, from.parent, to.parent));
  APPENDFS_RETURN_IF_ERROR(CheckMove(operation.tables, target, to.parent, from.parent));
  APPENDFS_RETURN_IF_ERROR(ReplaceName(operation, from.parent, from.name, source, target));
  APPENDFS_RETURN_IF_ERROR(ReplaceName(operation, to.parent, to.name, target, source));
  APPENDFS_RETURN_IF_ERROR(Touch(operation, source.inode, to.parent));
  return Touch(operation, target.inode, from.parent);
}

absl::Status CheckReplaceable(Operation& operation, Target source, const Place& to, Target target) {
  if (source.type == v1::DIRECTORY && target.type != v1::DIRECTORY)
    return MakeError(v1::NOT_DIRECTORY,
                     StrCat("'", to.name, "' is not a directory and cannot become one"));
  if (source.type != v1::DIRECTORY && target.type == v1::DIRECTORY)
    return MakeError(v1::IS_DIRECTORY, StrCat("'", to.name, "' is a directory"));
  if (target.type != v1::DIRECTORY) return absl::OkStatus();
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetDirectory(operation.tables, target.inode));
  return CheckEmpty(record);
}

absl::Status Move(Operation& operation, const Place& from, Target source, const Place& to,
                  std::optional<Target> target) {
  APPENDFS_RETURN_IF_ERROR(CheckMove(operation.tables, source, from.parent, to.parent));
  if (target) APPENDFS_RETURN_IF_ERROR(CheckReplaceable(operation, source, to, *target));
  APPENDFS_RETURN_IF_ERROR(RemoveName(operation, from.parent, from.name, source));
  if (target) {
    APPENDFS_RETURN_IF_ERROR(ReplaceName(operation, to.parent, to.name, *target, source));
    APPENDFS_RETURN_IF_ERROR(DropLink(operation, target->inode));
  } else {
    APPENDFS_RETURN_IF_ERROR(AddName(operation, to.parent, to.name, source));
  }
  return Touch(operation, source.inode, to.parent);
}

}  // namespace

absl::Status ApplyRename(const v1::RenameRequest& request, Operation& operation) {
  if (request.no_replace() && request.exchange())
    return MakeError(v1::INVALID, "a rename cannot both exchange and not replace");
  APPENDFS_RETURN_IF_ERROR(CheckName(request.name()));
  APPENDFS_RETURN_IF_ERROR(CheckName(request.new_name()));
  KeyValueTransaction& tables = operation.tables;
  Place from{InodeId(request.parent()), request.name()};
  Place to{InodeId(request.new_parent()), request.new_name()};
  APPENDFS_RETURN_IF_ERROR(GetDirectory(tables, from.parent).status());
  APPENDFS_RETURN_IF_ERROR(GetDirectory(tables, to.parent).status());
  APPENDFS_ASSIGN_OR_RETURN(v1::DentryRecord dentry, GetDentry(tables, from.parent, from.name));
  Target source = TargetOf(dentry);
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> existing,
                            FindDentry(tables, to.parent, to.name));
  std::optional<Target> target;
  if (existing) target = TargetOf(*existing);

  if (target && request.no_replace())
    return MakeError(v1::ENTRY_EXISTS,
                     StrCat("'", to.name, "' in inode ", to.parent, ": file exists"));
  if (!target && request.exchange())
    return MakeError(v1::NO_ENTRY,
                     StrCat("'", to.name, "' in inode ", to.parent, ": no such file or directory"));
  v1::RenameResponse& response = *operation.result.mutable_rename();
  response.set_inode(source.inode.value());
  if (target) response.set_replaced_inode(target->inode.value());
  // Two names of one inode: POSIX wants nothing to happen.
  if (target && target->inode == source.inode) return absl::OkStatus();
  if (request.exchange()) return Exchange(operation, from, source, to, *target);
  return Move(operation, from, source, to, target);
}

}  // namespace appendfs
