#include <linux/fs.h>

#include <cstdlib>
#include <utility>

#include "fuse/attributes.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

void ReplyEntryOrStatus(fuse_req_t request, absl::StatusOr<FileStatus> status,
                        std::optional<uint64_t> ticket = std::nullopt) {
  if (status.ok()) status = StateOf(request).AfterOwnQueue(*std::move(status));
  if (!status.ok()) return ReplyStatus(request, status.status());
  ReplyEntry(request, *status, ticket);
}

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  MountState& state = StateOf(request);
  if (absl::Status bad = CheckName(name); !bad.ok()) return ReplyStatus(request, bad);
  const uint64_t ticket = state.client.DrawTicket();
  ReplyEntryOrStatus(request, state.client.Lookup(state.inodes.ToInode(parent), name), ticket);
}

void Forget(fuse_req_t request, fuse_ino_t node, uint64_t count) {
  MountState& state = StateOf(request);
  state.inodes.Forget(state.inodes.ToInode(node), count);
  fuse_reply_none(request);
}

void ForgetMany(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  MountState& state = StateOf(request);
  for (size_t i = 0; i < count; ++i)
    state.inodes.Forget(state.inodes.ToInode(forgets[i].ino), forgets[i].nlookup);
  fuse_reply_none(request);
}

void Make(fuse_req_t request, fuse_ino_t parent, const char* name, NodeSpec spec) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  if (absl::Status bad = CheckName(name); !bad.ok()) return ReplyStatus(request, bad);
  const fuse_ctx* caller = fuse_req_ctx(request);
  spec.uid = caller->uid;
  spec.gid = caller->gid;
  absl::StatusOr<Client::Made> made =
      state.client.MakeNode(state.inodes.ToInode(parent), name, spec);
  // A new name can only be missing a parent; the kernel looks that up again.
  if (!made.ok()) return ReplyInodeStatus(request, made.status());
  ReplyEntry(request, made->status);
}

void MakeNode(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  const v1::FileType type = DecodeType(mode);
  if (type == v1::FILE_TYPE_UNSPECIFIED)
    return ReplyStatus(request, MakeError(v1::NOT_PERMITTED, "device nodes are not kept"));
  Make(request, parent, name, {.type = type, .mode = mode & 07777});
}

void MakeDirectory(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  Make(request, parent, name, {.type = v1::DIRECTORY, .mode = mode & 07777});
}

void MakeSymlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  Make(request, parent, name, {.type = v1::SYMLINK, .mode = 0777, .symlink_target = target});
}

void Link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  if (absl::Status bad = CheckName(name); !bad.ok()) return ReplyStatus(request, bad);
  absl::StatusOr<FileStatus> status =
      state.client.Link(state.inodes.ToInode(node), state.inodes.ToInode(parent), name);
  if (!status.ok()) return ReplyInodeStatus(request, status.status());
  ReplyEntryOrStatus(request, std::move(status));
}

void Unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  ReplyStatus(request, state.client.Unlink(state.inodes.ToInode(parent), name));
}

void RemoveDirectory(fuse_req_t request, fuse_ino_t parent, const char* name) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  ReplyStatus(request, state.client.RemoveDirectory(state.inodes.ToInode(parent), name));
}

void Rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned int flags) {
  MountState& state = StateOf(request);
  const Lending::OwnChange own(state.lending);
  if (absl::Status bad = CheckName(new_name); !bad.ok()) return ReplyStatus(request, bad);
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0)
    return ReplyStatus(request, MakeError(v1::INVALID, "unknown rename flags"));
  ReplyStatus(request, state.client.Rename(state.inodes.ToInode(parent), name,
                                           state.inodes.ToInode(new_parent), new_name,
                                           {.no_replace = (flags & RENAME_NOREPLACE) != 0,
                                            .exchange = (flags & RENAME_EXCHANGE) != 0}));
}

}  // namespace

void AddNameOperations(fuse_lowlevel_ops& operations) {
  operations.lookup = Lookup;
  operations.forget = Forget;
  operations.forget_multi = ForgetMany;
  operations.mknod = MakeNode;
  operations.mkdir = MakeDirectory;
  operations.symlink = MakeSymlink;
  operations.link = Link;
  operations.unlink = Unlink;
  operations.rmdir = RemoveDirectory;
  operations.rename = Rename;
}

}  // namespace appendfs::fuse
