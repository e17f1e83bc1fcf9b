#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "fuse/caller.h"
#include "fuse/late_reply.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

void Read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  if (absl::Status kept = handle->CheckLocks(); !kept.ok()) return ReplyStatus(request, kept);
  if (absl::Status waited = WaitForQueue(handle->file()); !waited.ok())
    return ReplyStatus(request, waited);
  const absl::StatusOr<Buffer> bytes =
      handle->file().Read(FileOffset(static_cast<uint64_t>(offset)), size);
  if (!bytes.ok()) return ReplyStatus(request, bytes.status());
  fuse_reply_buf(request, bytes->data(), bytes->size());
}

// As on any filesystem, a write by someone without privilege takes the
// set-user-id bit away. With direct I/O the kernel leaves that to us.
absl::Status DropSetId(MountState& state, InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(const FileStatus status, state.client.Stat(inode));
  uint32_t mode = status.mode & ~S_ISUID;
  if (mode & S_IXGRP) mode &= ~S_ISGID;
  if (mode == status.mode) return absl::OkStatus();
  APPENDFS_ASSIGN_OR_RETURN(const FileStatus changed,
                            state.client.SetAttributes(inode, {.mode = mode}));
  state.inodes.Observe(changed);
  return absl::OkStatus();
}

void Write(fuse_req_t request, fuse_ino_t node, const char* bytes, size_t size, off_t offset,
           fuse_file_info* info) {
  MountState& state = StateOf(request);
  const InodeId inode = state.inodes.ToInode(node);
  if (fuse_req_ctx(request)->uid != 0 && state.inodes.HasSetId(inode)) {
    if (absl::Status dropped = DropSetId(state, inode); !dropped.ok())
      return ReplyStatus(request, dropped);
  }
  // The flags are those of now, not of the open. The kernel's offset of an
  // O_APPEND write comes from a size that may be old, and is not looked at.
  const FileHandle::WriteMode mode = {
      .append = (info->flags & O_APPEND) != 0,
      .durable = state.options.ack == Ack::kCommit || (info->flags & (O_DSYNC | O_SYNC)) != 0};
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  handle->Write(static_cast<uint64_t>(offset), std::string_view(bytes, size), mode,
                [reply = LateReply(request)](const absl::StatusOr<size_t>& written) {
                  reply.SendWritten(written);
                });
}

void Fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  handle->Sync([reply = LateReply(request)](const absl::Status& status) { reply.Send(status); });
}

void Flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  // A program that was killed is not kept for what it wrote, which goes on.
  const bool killed = handle->file().queued_bytes() > 0 && DiesOfSignal(fuse_req_ctx(request)->pid);
  auto close = [handle, killed, reply = LateReply(request)] {
    if (killed) return reply.Send(absl::OkStatus());
    handle->Close([reply](const absl::Status& status) { reply.Send(status); });
  };
  // Whatever it closes, a process has no record lock on the file any more.
  const FileLock locked{.inode = handle->inode(), .owner = info->lock_owner};
  handle->ForgetRecordLocks(info->lock_owner);
  FileLocks& locks = StateOf(request).client.locks();
  if (!locks.HasAny(locked)) return close();
  if (!killed) (void)WaitForQueue(handle->file());
  locks.Unlock(locked, [close](const absl::StatusOr<LockOutcome>&) { close(); });
}

// Space cannot be reserved: growing is refused, and within the file there is
// nothing to do.
void Allocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
              fuse_file_info* info) {
  if (mode != 0)
    return ReplyStatus(request, MakeError(v1::NOT_SUPPORTED, "fallocate in this mode"));
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  File& file = handle->file();
  if (absl::Status waited = WaitForQueue(file); !waited.ok()) return ReplyStatus(request, waited);
  const absl::StatusOr<uint64_t> size = file.Size();
  if (!size.ok()) return ReplyStatus(request, size.status());
  const bool grows = static_cast<uint64_t>(offset) + static_cast<uint64_t>(length) > *size;
  ReplyStatus(request, grows ? MakeError(v1::NOT_PERMITTED, "only appending makes a file grow")
                             : absl::OkStatus());
}

// SEEK_DATA and SEEK_HOLE, the only ones the kernel asks for: a file is data
// from its beginning to its end.
void Seek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  const std::shared_ptr<FileHandle> handle = FileOf(info);
  File& file = handle->file();
  if (absl::Status waited = WaitForQueue(file); !waited.ok()) return ReplyStatus(request, waited);
  const absl::StatusOr<uint64_t> size = file.Size();
  if (!size.ok()) return ReplyStatus(request, size.status());
  const off_t end = static_cast<off_t>(*size);
  if (offset < 0 || offset >= end) {
    fuse_reply_err(request, ENXIO);
  } else {
    fuse_reply_lseek(request, whence == SEEK_DATA ? offset : end);
  }
}

}  // namespace

void AddDataOperations(fuse_lowlevel_ops& operations) {
  operations.read = Read;
  operations.write = Write;
  operations.fsync = Fsync;
  operations.flush = Flush;
  operations.fallocate = Allocate;
  operations.lseek = Seek;
}

}  // namespace appendfs::fuse
