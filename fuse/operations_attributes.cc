#include <algorithm>

#include "common/str_cat.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

uint64_t ToNanos(const timespec& time) {
  return static_cast<uint64_t>(std::max<time_t>(time.tv_sec, 0)) * 1'000'000'000 +
         static_cast<uint64_t>(time.tv_nsec);
}

AttributeChange DecodeChange(const struct stat& wanted, int fields) {
  AttributeChange change;
  if (fields & FUSE_SET_ATTR_MODE) change.mode = wanted.st_mode & 07777;
  if (fields & FUSE_SET_ATTR_UID) change.uid = wanted.st_uid;
  if (fields & FUSE_SET_ATTR_GID) change.gid = wanted.st_gid;
  if (fields & FUSE_SET_ATTR_ATIME_NOW) {
    change.atime_now = true;
  } else if (fields & FUSE_SET_ATTR_ATIME) {
    change.atime_ns = ToNanos(wanted.st_atim);
  }
  if (fields & FUSE_SET_ATTR_MTIME_NOW) {
    change.mtime_now = true;
  } else if (fields & FUSE_SET_ATTR_MTIME) {
    change.mtime_ns = ToNanos(wanted.st_mtim);
  }
  return change;
}

bool ChangesAnything(const AttributeChange& change) {
  return change.mode || change.uid || change.gid || change.atime_ns || change.mtime_ns ||
         change.atime_now || change.mtime_now;
}

// truncate(2) is fine if it changes nothing.
absl::Status SetSize(MountState& state, InodeId inode, uint64_t size, FileHandle* handle) {
  if (handle != nullptr) return handle->SetSize(size);
  APPENDFS_ASSIGN_OR_RETURN(const FileStatus status, state.Stat(inode));
  if (status.size == size) return absl::OkStatus();
  return MakeError(v1::NOT_PERMITTED, StrCat("inode=", inode, ": truncation to ", size, " of ",
                                             status.size, " bytes"));
}

absl::StatusOr<FileStatus> Change(MountState& state, InodeId inode, const struct stat& wanted,
                                  int fields, FileHandle* handle) {
  if (fields & FUSE_SET_ATTR_SIZE)
    APPENDFS_RETURN_IF_ERROR(SetSize(state, inode, static_cast<uint64_t>(wanted.st_size), handle));
  const AttributeChange change = DecodeChange(wanted, fields);
  if (!ChangesAnything(change)) return state.Stat(inode);
  // A time that is set now must not be overtaken by an append made before.
  if (const std::shared_ptr<File> file = state.inodes.OpenFile(inode))
    APPENDFS_RETURN_IF_ERROR(WaitForQueue(*file));
  return state.client.SetAttributes(inode, change);
}

void GetAttributes(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  MountState& state = StateOf(request);
  const uint64_t ticket = state.client.DrawTicket();
  absl::StatusOr<FileStatus> status = state.Stat(state.inodes.ToInode(node));
  if (!status.ok()) return ReplyInodeStatus(request, status.status());
  ReplyAttributes(request, *status, ticket);
}

void SetAttributes(fuse_req_t request, fuse_ino_t node, struct stat* wanted, int fields,
                   fuse_file_info* info) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  auto* handle = info == nullptr ? nullptr : reinterpret_cast<FileHandle*>(info->fh);
  absl::StatusOr<FileStatus> status =
      Change(state, state.inodes.ToInode(node), *wanted, fields, handle);
  if (!status.ok()) return ReplyInodeStatus(request, status.status());
  ReplyAttributes(request, *status);
}

void ReadLink(fuse_req_t request, fuse_ino_t node) {
  MountState& state = StateOf(request);
  absl::StatusOr<std::string> target = state.client.ReadLink(state.inodes.ToInode(node));
  if (!target.ok()) return ReplyInodeStatus(request, target.status());
  fuse_reply_readlink(request, target->c_str());
}

}  // namespace

void AddAttributeOperations(fuse_lowlevel_ops& operations) {
  operations.getattr = GetAttributes;
  operations.setattr = SetAttributes;
  operations.readlink = ReadLink;
}

}  // namespace appendfs::fuse
