#pragma once

#include <functional>
#include <memory>

#include "client/appendfs.h"
#include "fuse/options.h"

namespace appendfs::fuse {

// Exit codes as mount(8) knows them.
inline constexpr int kExitDone = 0;
inline constexpr int kExitUsage = 1;
inline constexpr int kExitMountFailed = 32;

using Connector = std::function<absl::StatusOr<std::unique_ptr<Client>>(ClientOptions)>;

// One mount from beginning to end: connects, finds the root, mounts, calls
// `ready` once requests are answered, serves until it is unmounted or gets
// SIGTERM, SIGINT or SIGHUP (blocked in the caller), flushes every queue,
// unmounts. Says what went wrong on standard error and returns the exit code.
int RunMount(const MountOptions& options, const Connector& connect,
             const std::function<void()>& ready);

// Checks the mount point and makes it absolute, so that a change of directory
// does not matter.
absl::Status ResolveMountpoint(MountOptions& options);

}  // namespace appendfs::fuse
