#pragma once

#include <memory>
#include <string>

#include "chunkserver/engine/heartbeat.h"

namespace appendfs {

// The master's ServerRegistry over gRPC.
std::unique_ptr<MasterLink> MakeGrpcMasterLink(const std::string& address);

}  // namespace appendfs
