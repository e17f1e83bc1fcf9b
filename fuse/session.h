#pragma once

#include <memory>
#include <string>

#include "fuse/mount_state.h"

namespace appendfs::fuse {

// One kernel mount: from mount(2) until it is unmounted from outside or
// stopped. Owned by the composition root; Stop may be called from any thread,
// everything else from the one that made it. Includes libfuse only in its
// implementation.
class Session {
 public:
  // Mounts `state.options.source` on the mount point. `state` must outlive the
  // session's Serve.
  static absl::StatusOr<std::unique_ptr<Session>> Mount(MountState& state);
  virtual ~Session() = default;

  // Answers requests until the end; then nothing new is accepted, while
  // replies to earlier requests can still be sent. Once.
  virtual absl::Status Serve() = 0;
  // Makes Serve return soon.
  virtual void Stop() = 0;
  // Detaches the mount point, unless that has happened. Programs that still
  // have files open get ENOTCONN from now on.
  virtual void Unmount() = 0;
};

}  // namespace appendfs::fuse
