#include "fuse/reply.h"

#include <cerrno>

#include "common/str_cat.h"
#include "fuse/attributes.h"

namespace appendfs::fuse {
namespace {

constexpr size_t kLongestName = 255;

}  // namespace

std::shared_ptr<FileHandle> FileOf(const fuse_file_info* info) {
  return reinterpret_cast<FileHandle*>(info->fh)->shared_from_this();
}

void ReplyStatus(fuse_req_t request, const absl::Status& status) {
  fuse_reply_err(request, ToErrno(status));
}

void ReplyInodeStatus(fuse_req_t request, const absl::Status& status) {
  fuse_reply_err(request, HasReason(status, v1::NO_ENTRY) ? ESTALE : ToErrno(status));
}

fuse_entry_param MakeEntry(const MountState& state, const FileStatus& status) {
  fuse_entry_param entry = {};
  entry.ino = state.inodes.ToNode(status.inode);
  entry.attr = ToStat(status);
  entry.attr_timeout = state.AttributeTimeout(status.type);
  entry.entry_timeout = state.EntryTimeout(status.type);
  return entry;
}

void ReplyEntry(fuse_req_t request, const FileStatus& status, std::optional<uint64_t> ticket) {
  MountState& state = StateOf(request);
  state.inodes.AddLookups(status.inode);
  fuse_entry_param entry = MakeEntry(state, state.inodes.Observe(status));
  if (status.growing) entry.attr_timeout = 0;  // a name does not tell the size
  int sent = 0;
  {
    Lending::Loan loan(state.lending);
    if (ticket)
      entry.attr_timeout = state.LendAttributes(loan, *ticket, status, /*with_name=*/true);
    sent = fuse_reply_entry(request, &entry);
  }
  if (sent == -ENOENT) state.inodes.Forget(status.inode, 1);
}

void ReplyAttributes(fuse_req_t request, const FileStatus& status, std::optional<uint64_t> ticket) {
  MountState& state = StateOf(request);
  const struct stat attributes = ToStat(state.inodes.Observe(status));
  Lending::Loan loan(state.lending);
  const double seconds = ticket ? state.LendAttributes(loan, *ticket, status, /*with_name=*/false)
                                : state.AttributeTimeout(status.type);
  fuse_reply_attr(request, &attributes, seconds);
}

absl::Status CheckName(std::string_view name) {
  if (name.size() <= kLongestName) return absl::OkStatus();
  return MakeError(v1::NAME_TOO_LONG, StrCat("a name of ", name.size(), " bytes"));
}

}  // namespace appendfs::fuse
