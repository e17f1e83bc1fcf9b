#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string_view>

#include "client/appendfs.h"
#include "fuse/current_call.h"
#include "fuse/directory_handle.h"
#include "fuse/file_handle.h"
#include "fuse/handle_set.h"
#include "fuse/inode_map.h"
#include "fuse/interrupt_watch.h"
#include "fuse/lending.h"
#include "fuse/options.h"

namespace appendfs::fuse {

// What all callbacks of one mount share. Made by the composition root after
// the client is connected; must be destroyed before the client, when no
// callback runs any more.
struct MountState {
  MountState(Client& client, const MountOptions& options, InodeId root)
      : client(client), options(options), inodes(root), lending(client, inodes) {}

  Client& client;
  const MountOptions options;
  // Called once, when the kernel and the mount have agreed on the protocol.
  std::function<void()> on_serving;

  const Duration begun = SystemClock().Monotonic();
  std::atomic<bool> leaving = false;  // nothing new is served, what is queued is flushed
  const std::shared_ptr<Calls> calls = std::make_shared<Calls>();
  InterruptWatch interrupts;
  InodeMap inodes;
  Lending lending;  // begins with the session
  HandleSet<FileHandle> files;
  HandleSet<DirectoryHandle> directories;

  // How long the kernel may believe what it is told of an inode of this type.
  double EntryTimeout(v1::FileType type) const {
    return options.entry_timeout_seconds.value_or(type == v1::DIRECTORY ? 1.0 : 0.0);
  }
  double AttributeTimeout(v1::FileType type) const {
    const bool by_time = type == v1::DIRECTORY && !client.Lends();
    return options.attr_timeout_seconds.value_or(by_time ? 1.0 : 0.0);
  }
  // The same for attributes, and for names in a listing, that were asked for
  // after `ticket` was drawn and are lent. `with_name`: the size of a file that
  // grows was not asked for.
  double LendAttributes(Lending::Loan& loan, uint64_t ticket, const FileStatus& status,
                        bool with_name) const {
    if (options.attr_timeout_seconds)
      return with_name && status.growing ? 0 : *options.attr_timeout_seconds;
    return std::max(loan.Attributes(ticket, status.inode), AttributeTimeout(status.type));
  }
  double LendName(Lending::Loan& loan, uint64_t ticket, InodeId parent, std::string_view name,
                  const FileStatus& status) const {
    if (options.entry_timeout_seconds) return *options.entry_timeout_seconds;
    return std::max(loan.Name(ticket, parent, name, status.inode), EntryTimeout(status.type));
  }
  // Attributes along with names pay only if the kernel may keep both.
  bool ReadDirectoryPlus() const {
    if (lending.lends_names() && !options.entry_timeout_seconds) return true;
    return EntryTimeout(v1::REGULAR) > 0 && AttributeTimeout(v1::REGULAR) > 0;
  }

  // The status as of after this mount's own queue for the inode, if the file
  // is open here and something is queued; else `status`. Blocks.
  absl::StatusOr<FileStatus> AfterOwnQueue(FileStatus status);
  // A fresh status, after the own queue. Blocks.
  absl::StatusOr<FileStatus> Stat(InodeId inode);
  // Waits, at most `bound`, until all queues are empty; whether they are.
  bool FlushAll(std::chrono::milliseconds bound);
};

}  // namespace appendfs::fuse
