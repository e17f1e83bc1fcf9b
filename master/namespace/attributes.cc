// chmod, chown and utimens.

#include "master/namespace/operation.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

constexpr uint32_t kPermissionBits = 07777;
constexpr uint32_t kSetUid = 04000;
constexpr uint32_t kSetGid = 02000;
constexpr uint32_t kGroupExecute = 00010;

absl::Status CheckRequest(const v1::SetAttributesRequest& request) {
  if (request.mode() & ~kPermissionBits)
    return MakeError(v1::INVALID, StrCat("inode ", request.inode(), ": mode ", request.mode(),
                                         " holds more than permission bits"));
  if ((request.has_atime_ns() && request.atime_now()) ||
      (request.has_mtime_ns() && request.mtime_now()))
    return MakeError(v1::INVALID, StrCat("inode ", request.inode(),
                                         ": a time is set to a value and to now at once"));
  return absl::OkStatus();
}

bool ChangesAnything(const v1::SetAttributesRequest& request) {
  return request.has_mode() || request.has_uid() || request.has_gid() || request.has_atime_ns() ||
         request.has_mtime_ns() || request.atime_now() || request.mtime_now();
}

// A new owner does not inherit privileges.
uint32_t WithoutPrivileges(uint32_t mode) {
  mode &= ~kSetUid;
  if (mode & kGroupExecute) mode &= ~kSetGid;
  return mode;
}

}  // namespace

absl::Status ApplySetAttributes(const v1::SetAttributesRequest& request, Operation& operation) {
  APPENDFS_RETURN_IF_ERROR(CheckRequest(request));
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord record,
                            GetInode(operation.tables, InodeId(request.inode())));
  v1::Attributes& attributes = *record.mutable_attributes();
  if (ChangesAnything(request)) {
    uint64_t now_ns = operation.now_ns();
    if ((request.has_uid() || request.has_gid()) && attributes.type() != v1::DIRECTORY)
      attributes.set_mode(WithoutPrivileges(attributes.mode()));
    if (request.has_mode()) attributes.set_mode(request.mode());
    if (request.has_uid()) attributes.set_uid(request.uid());
    if (request.has_gid()) attributes.set_gid(request.gid());
    if (request.has_atime_ns()) attributes.set_atime_ns(request.atime_ns());
    if (request.atime_now()) attributes.set_atime_ns(now_ns);
    if (request.has_mtime_ns() || request.mtime_now()) {
      attributes.set_mtime_ns(request.mtime_now() ? now_ns : request.mtime_ns());
      attributes.set_mtime_set_ns(now_ns);
    }
    attributes.set_ctime_ns(now_ns);
    PutInode(operation.tables, record);
  }
  APPENDFS_ASSIGN_OR_RETURN(*operation.result.mutable_entry(), EntryOf(operation.tables, record));
  return absl::OkStatus();
}

}  // namespace appendfs
