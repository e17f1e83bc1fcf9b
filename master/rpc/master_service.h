#pragma once

#include <memory>

#include "master/rpc/parts.h"

namespace grpc {
class Service;
}

namespace appendfs {

// The service `Master`: namespace and sessions, as a client sees them. Reads
// are answered on gRPC's thread from a snapshot, changes on the log's thread
// when they are durable.
std::unique_ptr<grpc::Service> MakeMasterService(const MasterParts& parts);

}  // namespace appendfs
