#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace appendfs {

// One AppendFS mount as the kernel lists it. Reading the list asks nothing of
// the mounts, so it works while they are stuck or dead.
struct MountEntry {
  std::string device;      // "0:53", different for all mounts of a machine
  std::string mountpoint;  // absolute, in this mount namespace
  std::string source;
  std::string options;  // "rw,nosuid,nodev,relatime"
  uid_t owner = 0;      // who mounted it
};

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string UnescapeMountField(std::string_view text);

// Of the text of a mountinfo file (proc(5)); in the order of mounting, those
// hidden below another mount left out.
std::vector<MountEntry> ParseMountTable(std::string_view mountinfo);
absl::StatusOr<std::vector<MountEntry>> ReadMountTable();
// The one that is on top at this absolute path, if it is one of ours.
std::optional<MountEntry> FindMount(const std::vector<MountEntry>& table,
                                    std::string_view mountpoint);

// Where the control sockets of a user's mounts are: /run/appendfs of root,
// $XDG_RUNTIME_DIR/appendfs of others (/tmp/appendfs-UID without one), or
// $APPENDFS_RUN_DIR.
std::string RunDirectory(uid_t owner);
std::string ControlSocketOf(const std::string& run_directory, const MountEntry& mount);

}  // namespace appendfs
