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

void ReadDirectoryPlus(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                       fuse_file_info* info) {
  MountState& state = StateOf(request);
  struct Shown {
    DirectoryEntry entry;
    off_t next;
    bool with_status;
  };
  std::vector<Shown> shown;
  size_t used = 0;
  const absl::Status status = HandleOf(info).Read(
      static_cast<uint64_t>(offset), [&](const DirectoryEntry& entry, uint64_t next) {
        const size_t needed =
            fuse_add_direntry_plus(request, nullptr, 0, entry.name.c_str(), nullptr, 0);
        if (needed > size - used) return false;
        used += needed;
        const bool with_status = entry.status.has_value() && !IsDots(entry.name);
        shown.push_back({entry, static_cast<off_t>(next), with_status});
        return true;
      });
  // What fits is shown; the error comes again with the next call.
  if (!status.ok() && used == 0) return ReplyStatus(request, status);

  const InodeId parent = state.inodes.ToInode(node);
  std::vector<char> reply(used);
  used = 0;
  int sent = 0;
  {
    Lending::Loan loan(state.lending);
    for (const Shown& each : shown) {
      const DirectoryEntry& entry = each.entry;
      fuse_entry_param param = {};  // node 0: a name without attributes
      if (each.with_status) {
        state.inodes.AddLookups(entry.inode);  // each counts as one
        param = MakeEntry(state, state.inodes.Observe(*entry.status));
        param.attr_timeout =
            state.LendAttributes(loan, entry.ticket, *entry.status, /*with_name=*/true);
        param.entry_timeout = state.LendName(loan, entry.ticket, parent, entry.name, *entry.status);
      } else {
        param.attr.st_ino = entry.inode.value();
        param.attr.st_mode = EncodeType(entry.type);
      }
      used += fuse_add_direntry_plus(request, reply.data() + used, reply.size() - used,
                                     entry.name.c_str(), &param, each.next);
    }
    sent = fuse_reply_buf(request, reply.data(), used);
  }
  if (sent != -ENOENT) return;
  for (const Shown& each : shown)
    if (each.with_status) state.inodes.Forget(each.entry.inode, 1);
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
