// Making nodes, and adding and removing their names.

#include "master/layout.h"
#include "master/namespace/directories.h"
#include "master/namespace/names.h"
#include "master/namespace/operation.h"
#include "master/namespace/removal.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

constexpr uint32_t kPermissionBits = 07777;
constexpr uint32_t kSetGid = 02000;
constexpr uint32_t kMaxLinks = 65000;

absl::Status CheckRequest(const v1::MakeNodeRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckName(request.name()));
  switch (request.type()) {
    case v1::REGULAR:
    case v1::DIRECTORY:
    case v1::SYMLINK:
    case v1::FIFO:
    case v1::SOCKET: break;
    default:
      return MakeError(v1::INVALID, StrCat("'", request.name(), "': unknown file type ",
                                           static_cast<int>(request.type())));
  }
  if (request.type() == v1::SYMLINK) {
    APPENDFS_RETURN_IF_ERROR(CheckSymlinkTarget(request.symlink_target()));
  } else if (!request.symlink_target().empty()) {
    return MakeError(v1::INVALID, StrCat("'", request.name(), "': only a symlink has a target"));
  }
  if (request.mode() & ~kPermissionBits)
    return MakeError(v1::INVALID, StrCat("'", request.name(), "': mode ", request.mode(),
                                         " holds more than permission bits"));
  if (request.open() && request.type() != v1::REGULAR)
    return MakeError(v1::INVALID, StrCat("'", request.name(), "': only a regular file is opened"));
  return absl::OkStatus();
}

// An open(2) with O_CREAT of a name that is there.
absl::Status AnswerExisting(const v1::MakeNodeRequest& request, const v1::DentryRecord& dentry,
                            Operation& operation) {
  if (request.exclusive() || request.type() != v1::REGULAR || dentry.type() != v1::REGULAR)
    return MakeError(v1::ENTRY_EXISTS,
                     StrCat("'", request.name(), "' in inode ", request.parent(), ": file exists"));
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record,
                            GetInode(operation.tables, InodeId(dentry.inode())));
  APPENDFS_ASSIGN_OR_RETURN(*operation.result.mutable_make_node()->mutable_entry(),
                            EntryOf(operation.tables, record));
  return absl::OkStatus();
}

v1::InodeRecord MakeRecord(const v1::MakeNodeRequest& request, const v1::Attributes& parent,
                           InodeId inode, uint64_t now_ns) {
  v1::InodeRecord record;
  v1::Attributes& attributes = *record.mutable_attributes();
  attributes.set_inode(inode.value());
  attributes.set_type(request.type());
  attributes.set_mode(request.mode());
  attributes.set_nlink(1);
  attributes.set_uid(request.uid());
  attributes.set_gid(request.gid());
  attributes.set_atime_ns(now_ns);
  attributes.set_mtime_ns(now_ns);
  attributes.set_ctime_ns(now_ns);
  if (request.type() == v1::DIRECTORY) {
    attributes.set_nlink(2);
    attributes.set_parent(parent.inode());
  }
  if (parent.mode() & kSetGid) {
    attributes.set_gid(parent.gid());
    if (request.type() == v1::DIRECTORY) attributes.set_mode(request.mode() | kSetGid);
  }
  if (request.type() == v1::SYMLINK) {
    record.set_symlink_target(request.symlink_target());
    attributes.set_sealed_bytes(request.symlink_target().size());
  }
  return record;
}

}  // namespace

absl::Status ApplyMakeNode(const v1::MakeNodeRequest& request, Operation& operation) {
  APPENDFS_RETURN_IF_ERROR(CheckRequest(request));
  KeyValueTransaction& tables = operation.tables;
  InodeId parent(request.parent());
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord directory, GetDirectory(tables, parent));
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> existing,
                            FindDentry(tables, parent, request.name()));
  if (existing) return AnswerExisting(request, *existing, operation);

  APPENDFS_ASSIGN_OR_RETURN(uint64_t number, TakeNumbers(tables, layout::kNextInodeKey, 1));
  APPENDFS_ASSIGN_OR_RETURN(uint64_t count, GetNumber(tables, layout::kInodeCountKey));
  PutNumber(tables, layout::kInodeCountKey, count + 1);
  InodeId inode(number);
  v1::InodeRecord record = MakeRecord(request, directory.attributes(), inode, operation.now_ns());
  PutInode(tables, record);
  APPENDFS_RETURN_IF_ERROR(AddName(operation, parent, request.name(), {inode, request.type()}));

  v1::MakeNodeResponse& response = *operation.result.mutable_make_node();
  response.set_created(true);
  *response.mutable_entry()->mutable_attributes() = record.attributes();
  return absl::OkStatus();
}

absl::Status ApplyLink(const v1::LinkRequest& request, Operation& operation) {
  APPENDFS_RETURN_IF_ERROR(CheckName(request.name()));
  KeyValueTransaction& tables = operation.tables;
  InodeId inode(request.inode()), parent(request.parent());
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetInode(tables, inode));
  v1::Attributes& attributes = *record.mutable_attributes();
  if (attributes.type() == v1::DIRECTORY)
    return MakeError(v1::NOT_PERMITTED, StrCat("inode ", inode, ": a directory has one name"));
  if (attributes.nlink() == 0)
    return MakeError(v1::NO_ENTRY, StrCat("inode ", inode, " has been removed"));
  if (attributes.nlink() >= kMaxLinks)
    return MakeError(v1::TOO_MANY_LINKS, StrCat("inode ", inode, " has ", kMaxLinks, " names"));
  APPENDFS_RETURN_IF_ERROR(GetDirectory(tables, parent).status());
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::DentryRecord> existing,
                            FindDentry(tables, parent, request.name()));
  if (existing)
    return MakeError(v1::ENTRY_EXISTS,
                     StrCat("'", request.name(), "' in inode ", parent, ": file exists"));

  attributes.set_nlink(attributes.nlink() + 1);
  attributes.set_ctime_ns(operation.now_ns());
  PutInode(tables, record);
  APPENDFS_RETURN_IF_ERROR(AddName(operation, parent, request.name(), {inode, attributes.type()}));
  APPENDFS_ASSIGN_OR_RETURN(*operation.result.mutable_entry(), EntryOf(tables, record));
  return absl::OkStatus();
}

absl::Status ApplyUnlink(const v1::UnlinkRequest& request, Operation& operation) {
  APPENDFS_RETURN_IF_ERROR(CheckName(request.name()));
  KeyValueTransaction& tables = operation.tables;
  InodeId parent(request.parent());
  APPENDFS_RETURN_IF_ERROR(GetDirectory(tables, parent).status());
  APPENDFS_ASSIGN_OR_RETURN(v1::DentryRecord dentry, GetDentry(tables, parent, request.name()));
  InodeId inode(dentry.inode());
  bool is_directory = dentry.type() == v1::DIRECTORY;
  if (is_directory && !request.directory())
    return MakeError(v1::IS_DIRECTORY, StrCat("'", request.name(), "' is a directory"));
  if (!is_directory && request.directory())
    return MakeError(v1::NOT_DIRECTORY, StrCat("'", request.name(), "' is not a directory"));
  if (is_directory) {
    APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record, GetDirectory(tables, inode));
    APPENDFS_RETURN_IF_ERROR(CheckEmpty(record));
  }
  APPENDFS_RETURN_IF_ERROR(RemoveName(operation, parent, request.name(), {inode, dentry.type()}));
  operation.result.mutable_unlink()->set_inode(inode.value());
  return DropLink(operation, inode);
}

}  // namespace appendfs
