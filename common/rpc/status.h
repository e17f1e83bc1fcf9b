#pragma once

#include <grpcpp/support/status.h>

#include "common/status.h"

namespace appendfs {

// A status and its Reason over gRPC: the Error message travels in the details.
grpc::Status ToGrpc(const absl::Status& status);
// A status without an Error gets the reason of its code; UNAVAILABLE becomes
// UNREACHABLE. `peer` names the other side in the message.
absl::Status FromGrpc(const grpc::Status& status, std::string_view peer);

}  // namespace appendfs
