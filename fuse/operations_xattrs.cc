#include <sys/xattr.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "common/str_cat.h"
#include "fuse/description.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

enum class Class {
  kUser,         // kept by the master
  kDescription,  // appendfs.*: what the cluster knows of the file
  kPrivileged,   // security.*, trusted.*: none, known without asking
  kOther,        // system.posix_acl_access and the like
};

Class ClassOf(std::string_view name) {
  if (name.starts_with("user.")) return Class::kUser;
  if (name.starts_with(kDescriptionPrefix)) return Class::kDescription;
  if (name.starts_with("security.") || name.starts_with("trusted.")) return Class::kPrivileged;
  return Class::kOther;
}

absl::Status NotKept(std::string_view name) {
  return MakeError(v1::NOT_SUPPORTED, StrCat("attribute ", name, ": only user.* is kept"));
}

absl::StatusOr<std::string> Describe(MountState& state, InodeId inode, std::string_view name) {
  APPENDFS_ASSIGN_OR_RETURN(const FileStatus status, state.Stat(inode));
  std::vector<v1::Chunk> chunks;
  if (status.type == v1::REGULAR) {
    APPENDFS_ASSIGN_OR_RETURN(chunks, state.client.Chunks(inode));
  }
  return DescribeFile(name, status, state.client.cluster_uuid(), chunks);
}

absl::StatusOr<std::string> ValueOf(MountState& state, InodeId inode, std::string_view name) {
  switch (ClassOf(name)) {
    case Class::kUser: return state.client.GetXattr(inode, name);
    case Class::kDescription: return Describe(state, inode, name);
    case Class::kPrivileged:
      return MakeError(v1::NO_ATTRIBUTE, StrCat("inode=", inode, " has no ", name));
    case Class::kOther: break;
  }
  return NotKept(name);
}

// Who gives no room asks how much is needed.
void ReplyBytes(fuse_req_t request, const std::string& bytes, size_t room) {
  if (room == 0) {
    fuse_reply_xattr(request, bytes.size());
  } else if (bytes.size() > room) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, bytes.data(), bytes.size());
  }
}

void GetXattr(fuse_req_t request, fuse_ino_t node, const char* name, size_t room) {
  MountState& state = StateOf(request);
  const absl::StatusOr<std::string> value = ValueOf(state, state.inodes.ToInode(node), name);
  if (!value.ok()) return ReplyInodeStatus(request, value.status());
  ReplyBytes(request, *value, room);
}

// The names that can be set: cp -a and rsync -X copy what they are shown here.
void ListXattrs(fuse_req_t request, fuse_ino_t node, size_t room) {
  MountState& state = StateOf(request);
  const absl::StatusOr<std::vector<std::string>> names =
      state.client.ListXattrs(state.inodes.ToInode(node));
  if (!names.ok()) return ReplyInodeStatus(request, names.status());
  std::string list;
  for (const std::string& name : *names) list.append(name).push_back('\0');
  ReplyBytes(request, list, room);
}

absl::Status CheckSettable(std::string_view name) {
  switch (ClassOf(name)) {
    case Class::kUser: return absl::OkStatus();
    case Class::kDescription:
      return MakeError(v1::NOT_PERMITTED, StrCat("attribute ", name, " can only be read"));
    default: return NotKept(name);
  }
}

void SetXattr(fuse_req_t request, fuse_ino_t node, const char* name, const char* value, size_t size,
              int flags) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  if (absl::Status bad = CheckSettable(name); !bad.ok()) return ReplyStatus(request, bad);
  ReplyInodeStatus(request, state.client.SetXattr(state.inodes.ToInode(node), name,
                                                  std::string_view(value, size),
                                                  {.create = (flags & XATTR_CREATE) != 0,
                                                   .replace = (flags & XATTR_REPLACE) != 0}));
}

void RemoveXattr(fuse_req_t request, fuse_ino_t node, const char* name) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  if (absl::Status bad = CheckSettable(name); !bad.ok()) return ReplyStatus(request, bad);
  ReplyInodeStatus(request, state.client.RemoveXattr(state.inodes.ToInode(node), name));
}

}  // namespace

void AddXattrOperations(fuse_lowlevel_ops& operations) {
  operations.getxattr = GetXattr;
  operations.setxattr = SetXattr;
  operations.listxattr = ListXattrs;
  operations.removexattr = RemoveXattr;
}

}  // namespace appendfs::fuse
