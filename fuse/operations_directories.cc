#include <memory>
#include <utility>
#include <vector>

#include "fuse/attributes.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

DirectoryHandle& HandleOf(const fuse_file_info* info) {
  return *reinterpret_cast<DirectoryHandle*>(info->fh);
}

bool IsDots(const std::string& name) { return name == "." || name == ".."; }

void OpenDirectory(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  MountState& state = StateOf(request);
  auto handle = std::make_unique<DirectoryHandle>(state.client, state.inodes.ToInode(node),
                                                  state.ReadDirectoryPlus());
  if (absl::Status opened = handle->Open(); !opened.ok()) return ReplyInodeStatus(request, opened);
  DirectoryHandle* added = state.directories.Add(std::move(handle));
  info->fh = reinterpret_cast<uint64_t>(added);
  if (fuse_reply_open(request, info) == -ENOENT) state.directories.Remove(added);
}

void ReadDirectory(fuse_req_t request, fuse_ino_t, size_t size, off_t offset,
                   fuse_file_info* info) {
  std::vector<char> reply(size);
  size_t used = 0;
  const absl::Status status = HandleOf(info).Read(
      static_cast<uint64_t>(offset), [&](const DirectoryEntry& entry, uint64_t next) {
        struct stat attributes = {};
        attributes.st_ino = entry.inode.value();
        attributes.st_mode = EncodeType(entry.type);
        const size_t needed =
            fuse_add_direntry(request, reply.data() + used, size - used, entry.name.c_str(),
                              &attributes, static_cast<off_t>(next));
        if (needed > size - used) return false;
        used += needed;
        return true;
      });
  // What fits is shown; the error comes again with the next call.
  if (!status.ok() && used == 0) return ReplyStatus(request, status);
  fuse_reply_buf(request, reply.data(), used);
}

void ReadDirectoryPlus(fuse_req_t request, fuse_ino_t, size_t size, off_t offset,
                       fuse_file_info* info) {
  MountState& state = StateOf(request);
  std::vector<char> reply(size);
  size_t used = 0;
  std::vector<InodeId> shown;  // each counts as a lookup
  const absl::Status status = HandleOf(info).Read(
      static_cast<uint64_t>(offset), [&](const DirectoryEntry& entry, uint64_t next) {
        fuse_entry_param param = {};  // node 0: a name without attributes
        const bool with_status = entry.status.has_value() && !IsDots(entry.name);
        if (with_status) {
          param = MakeEntry(state, state.inodes.Observe(*entry.status));
        } else {
          param.attr.st_ino = entry.inode.value();
          param.attr.st_mode = EncodeType(entry.type);
        }
        const size_t needed =
            fuse_add_direntry_plus(request, reply.data() + used, size - used, entry.name.c_str(),
                                   &param, static_cast<off_t>(next));
        if (needed > size - used) return false;
        used += needed;
        if (with_status) shown.push_back(entry.inode);
        return true;
      });
  if (!status.ok() && used == 0) return ReplyStatus(request, status);
  for (InodeId inode : shown) state.inodes.AddLookups(inode);
  if (fuse_reply_buf(request, reply.data(), used) == -ENOENT)
    for (InodeId inode : shown) state.inodes.Forget(inode, 1);
}

void ReleaseDirectory(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  StateOf(request).directories.Remove(&HandleOf(info));
  fuse_reply_err(request, 0);
}

// A change of the namespace is durable before it is answered.
void FsyncDirectory(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  fuse_reply_err(request, 0);
}

}  // namespace

void AddDirectoryOperations(fuse_lowlevel_ops& operations) {
  operations.opendir = OpenDirectory;
  operations.readdir = ReadDirectory;
  operations.readdirplus = ReadDirectoryPlus;
  operations.releasedir = ReleaseDirectory;
  operations.fsyncdir = FsyncDirectory;
}

}  // namespace appendfs::fuse
