#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"
#include "proto/master.pb.h"

namespace appendfs::cli {

// The master's operators' service. The one place of the command that sees
// gRPC. Thread-safe.
class AdminClient {
 public:
  // Does not connect yet. `master` is host:port; of several separated by
  // commas the first that answers is used.
  AdminClient(std::string master, std::chrono::milliseconds timeout);
  ~AdminClient();

  // Errors: UNREACHABLE or TIMED_OUT, naming the master; VERSION_MISMATCH.
  absl::StatusOr<v1::ListServersResponse> ListServers();
  absl::StatusOr<v1::GetStatusResponse> GetStatus();
  // Also NO_ENTRY, NOT_DIRECTORY, IS_DIRECTORY. `path` is normalised.
  absl::StatusOr<v1::GetFileResponse> GetFile(std::string_view path);
  // The request names a path or a handle.
  absl::StatusOr<v1::ForceSealResponse> ForceSeal(v1::ForceSealRequest request);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace appendfs::cli
