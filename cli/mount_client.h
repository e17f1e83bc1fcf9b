#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/status.h"
#include "proto/mount.pb.h"

namespace appendfs::cli {

// The daemon of one mount of this machine, over its control socket. Sees gRPC
// for the verbs. Thread-safe.
class MountClient {
 public:
  // Does not connect yet.
  MountClient(const std::string& socket, std::chrono::milliseconds timeout);
  ~MountClient();

  // Errors: UNREACHABLE (nobody serves the socket, or this user may not use it),
  // TIMED_OUT, VERSION_MISMATCH.
  absl::StatusOr<v1::GetMountStatsResponse> GetStats();
  absl::StatusOr<v1::AbortMountResponse> Abort();

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace appendfs::cli
