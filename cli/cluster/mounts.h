#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/status.h"

namespace appendfs::cli {

// Is `mount_point` (absolute, no symlinks) in this /proc/self/mountinfo text
// as a FUSE mount?
bool HasFuseMount(std::string_view mountinfo, std::string_view mount_point);
bool IsFuseMounted(const std::string& mount_point);

// Detaches a mount whose daemon is gone or does not react; with fusermount3 if
// this process may not. OK if nothing is mounted.
absl::Status ForceUnmount(const std::string& mount_point);

// Absolute, without dots and symlinks as far as they can be resolved.
std::string AbsolutePath(const std::string& path);

// Makes the mount point if it is missing, takes a dead mount off it, and says
// its absolute path. Errors: NOT_DIRECTORY; ENTRY_EXISTS if something lives
// there.
absl::StatusOr<std::string> PrepareMountPoint(const std::string& path);

}  // namespace appendfs::cli
