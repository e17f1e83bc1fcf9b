#pragma once

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif
#include <fuse_lowlevel.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "fuse/mount_state.h"

// What the callbacks in operations_*.cc have in common: how an answer becomes
// a reply. No lock is held while one is sent, but for the loan of what the
// kernel is told that it may keep. Includes libfuse; only the callbacks and the
// session may include this.
namespace appendfs::fuse {

inline MountState& StateOf(fuse_req_t request) {
  return *static_cast<MountState*>(fuse_req_userdata(request));
}

// Of a request about an open file. Held until the callback returns: the answer
// alone may end the handle.
std::shared_ptr<FileHandle> FileOf(const fuse_file_info* info);

// The errno of a status; 0 for OK.
void ReplyStatus(fuse_req_t request, const absl::Status& status);
// The same where the inode itself, which the kernel named by number, may be
// gone: ESTALE makes the kernel look the name up once more, so that a program
// that opens a file while another is renamed over it gets the other.
void ReplyInodeStatus(fuse_req_t request, const absl::Status& status);

// A name's inode: counts a lookup, unless the kernel did not take the answer.
// With the ticket that was drawn before the status was asked for, if the kernel
// looks whether it was told something newer meanwhile (lookup, getattr).
void ReplyEntry(fuse_req_t request, const FileStatus& status,
                std::optional<uint64_t> ticket = std::nullopt);
void ReplyAttributes(fuse_req_t request, const FileStatus& status,
                     std::optional<uint64_t> ticket = std::nullopt);
// `status` must have passed InodeMap::Observe.
fuse_entry_param MakeEntry(const MountState& state, const FileStatus& status);

// NAME_TOO_LONG for what the namespace does not take.
absl::Status CheckName(std::string_view name);

}  // namespace appendfs::fuse
