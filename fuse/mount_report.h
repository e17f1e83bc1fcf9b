#pragma once

#include "fuse/mount_state.h"
#include "proto/mount.pb.h"

namespace appendfs::fuse {

// What a mount tells of itself to whoever asks over its control socket.
// Neither waits for the cluster nor for a request.
v1::GetMountStatsResponse ReportOf(MountState& state);

// Lets go of everything that waits: queued appends, then requests.
v1::AbortMountResponse AbortAll(MountState& state);

// The options as `mount -o` takes them; those that have their defaults too,
// where a reader may wonder.
std::string DescribeOptions(const MountOptions& options);

}  // namespace appendfs::fuse
