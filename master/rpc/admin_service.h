#pragma once

#include <memory>

#include "master/rpc/parts.h"

namespace grpc {
class Service;
}

namespace appendfs {

// The service `Admin`: what operators ask. Questions that need the
// chunkservers are answered on a thread of its own.
std::unique_ptr<grpc::Service> MakeAdminService(const MasterParts& parts);

}  // namespace appendfs
