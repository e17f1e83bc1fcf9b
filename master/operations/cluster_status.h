#pragma once

#include "common/status.h"
#include "master/rpc/parts.h"
#include "proto/master.pb.h"

namespace appendfs {

// The cluster's health and numbers, now. Any thread.
absl::StatusOr<v1::GetStatusResponse> ClusterStatus(const MasterParts& parts);

// Can clients work with it? Else NOT_READY, and why.
absl::Status ClusterIsReady(const MasterParts& parts);

}  // namespace appendfs
