#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/mount_table.h"
#include "common/status.h"
#include "proto/mount.pb.h"

namespace appendfs::cli {

// What can be learned of one mount of this machine without waiting for it.
enum class MountState {
  kServing,  // its daemon answers
  kSilent,   // mounted, but nobody answers on its socket (in time, or to this user)
  kDead,     // its daemon is gone: every access fails with ENOTCONN
};
std::string_view StateName(MountState state);

struct MountReport {
  MountEntry mount;
  MountState state = MountState::kSilent;
  std::optional<v1::GetMountStatsResponse> stats;  // of one that serves
  absl::Status why;                                // of one that is silent
};

// Asks each for at most `patience`.
absl::StatusOr<std::vector<MountReport>> ReportMounts(std::chrono::milliseconds patience);
MountReport ReportMount(const MountEntry& mount, std::chrono::milliseconds patience);

// The mount at this path, which may be relative and is not looked at itself.
// NO_ENTRY if there is none.
absl::StatusOr<MountEntry> FindMountAt(const std::string& path);
// Where its daemon listens.
std::string SocketOf(const MountEntry& mount);

// Is every access to it refused because its daemon is gone? Asks the kernel in
// a thread of its own, for at most `patience`.
bool IsDead(const std::string& mountpoint, std::chrono::milliseconds patience);

// Takes the mount off its place: at once, refused if it is in use (EBUSY as
// NOT_PERMITTED); lazily, when nobody uses it any more. With fusermount3 if this
// user may not. Says nothing of its daemon.
absl::Status Detach(const std::string& mountpoint, bool lazy);

}  // namespace appendfs::cli
