#pragma once

#include <memory>
#include <string>

#include "fuse/mount_state.h"

namespace appendfs::fuse {

// Serves MountControl (proto/mount.proto) on the mount's unix socket, with
// threads of its own, so that it answers while the mount is stuck. Made by the
// composition root once the kernel has the mount; goes before `state`, and
// takes the socket with it.
class ControlServer {
 public:
  // Error: the socket, why, and what to do. The mount can do without.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(MountState& state);
  virtual ~ControlServer() = default;
  virtual const std::string& socket() const = 0;
};

}  // namespace appendfs::fuse
