#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "common/str_cat.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

bool IsWritable(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

// What may be written through a handle that is opened with these flags; an
// error if the open must fail. Asks for the size only if it matters.
absl::StatusOr<WriteAccess> DecideAccess(File& file, int flags, bool created) {
  const bool writable = IsWritable(flags);
  if (created) {
    if (!writable) return WriteAccess::kNone;
    return (flags & O_APPEND) ? WriteAccess::kAppend : WriteAccess::kCreator;
  }
  if ((flags & O_TRUNC) || (writable && !(flags & O_APPEND))) {
    APPENDFS_RETURN_IF_ERROR(WaitForQueue(file));
    APPENDFS_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
    if (size > 0)
      return MakeError(v1::NOT_PERMITTED,
                       StrCat("inode=", file.inode(), ": only appending is allowed"));
  }
  if (!writable) return WriteAccess::kNone;
  return (flags & O_APPEND) ? WriteAccess::kAppend : WriteAccess::kFromEmpty;
}

// Makes the handle and fills in what the kernel is told of it. Nothing is ever
// cached by the kernel: a file may grow at any time, and a page read before
// would show zeros where the new bytes are.
void AddHandle(MountState& state, InodeId inode, std::shared_ptr<File> file, WriteAccess access,
               fuse_file_info* info) {
  state.inodes.AddHandle(inode, file);
  info->fh = reinterpret_cast<uint64_t>(
      state.files.Add(std::make_shared<FileHandle>(std::move(file), access)));
  info->direct_io = 1;
  info->keep_cache = 0;
  info->noflush = access == WriteAccess::kNone ? 1 : 0;
}

void RemoveHandle(MountState& state, InodeId inode, fuse_file_info* info) {
  std::shared_ptr<FileHandle> handle = state.files.Remove(reinterpret_cast<FileHandle*>(info->fh));
  if (handle == nullptr) return;
  // Each process has let go of its record locks when it closed the file; these
  // are of the open file itself.
  for (const FileLock& lock : handle->NotedLocks())
    if (state.client.locks().HasAny(lock))
      state.client.locks().Unlock(lock, [](const absl::StatusOr<LockOutcome>&) {});
  // close(2) has waited already, unless its process was killed meanwhile.
  (void)WaitForQueue(handle->file());
  state.inodes.RemoveHandle(inode);
}

void Open(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  MountState& state = StateOf(request);
  const InodeId inode = state.inodes.ToInode(node);
  absl::StatusOr<std::shared_ptr<File>> file = state.client.OpenInode(inode);
  if (!file.ok()) return ReplyInodeStatus(request, file.status());
  const absl::StatusOr<WriteAccess> access = DecideAccess(**file, info->flags, /*created=*/false);
  if (!access.ok()) return ReplyInodeStatus(request, access.status());
  AddHandle(state, inode, *std::move(file), *access, info);
  if (fuse_reply_open(request, info) == -ENOENT) RemoveHandle(state, inode, info);
}

// Whether the caller may open a file that somebody else created between the
// kernel's lookup and this create; the kernel has checked only the directory.
bool MayOpenUnchecked(const fuse_ctx& caller, const FileStatus& status, int flags) {
  if (caller.uid == 0) return true;
  const uint32_t wanted =
      (IsWritable(flags) ? 0200 : 0) | ((flags & O_ACCMODE) != O_WRONLY ? 0400 : 0);
  return caller.uid == status.uid && (status.mode & wanted) == wanted;
}

void Create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* info) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  if (absl::Status bad = CheckName(name); !bad.ok()) return ReplyStatus(request, bad);
  const fuse_ctx* caller = fuse_req_ctx(request);
  const bool exclusive = (info->flags & O_EXCL) != 0;
  absl::StatusOr<Client::Made> made = state.client.MakeNode(state.inodes.ToInode(parent), name,
                                                            {.mode = mode & 07777,
                                                             .uid = caller->uid,
                                                             .gid = caller->gid,
                                                             .exclusive = exclusive,
                                                             .open = true});
  // Something else has the name by now, or the parent is gone: ESTALE makes
  // the kernel look again.
  if (!exclusive && HasReason(made.status(), v1::ENTRY_EXISTS)) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  if (!made.ok()) return ReplyInodeStatus(request, made.status());
  FileStatus& status = made->status;
  if (status.type != v1::REGULAR) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  absl::StatusOr<std::shared_ptr<File>> file =
      state.client.OpenInode(status.inode, /*already_registered=*/true);
  if (!file.ok()) return ReplyInodeStatus(request, file.status());
  if (!made->created && !MayOpenUnchecked(*caller, status, info->flags)) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  const absl::StatusOr<WriteAccess> access = DecideAccess(**file, info->flags, made->created);
  if (!access.ok()) return ReplyStatus(request, access.status());

  AddHandle(state, status.inode, *std::move(file), *access, info);
  state.inodes.AddLookups(status.inode);
  const fuse_entry_param entry = MakeEntry(state, state.inodes.Observe(status));
  if (fuse_reply_create(request, &entry, info) == -ENOENT) {
    RemoveHandle(state, status.inode, info);
    state.inodes.Forget(status.inode, 1);
  }
}

void Release(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  MountState& state = StateOf(request);
  RemoveHandle(state, state.inodes.ToInode(node), info);
  fuse_reply_err(request, 0);
}

}  // namespace

void AddFileOperations(fuse_lowlevel_ops& operations) {
  operations.open = Open;
  operations.create = Create;
  operations.release = Release;
}

}  // namespace appendfs::fuse
