#pragma once

#include <memory>

#include "master/chunks/chunk_manager.h"

namespace grpc {
class Service;
}

namespace appendfs {

// The service `ServerRegistry`: chunkservers register, report and send
// heartbeats. Hands everything to `chunks`, which outlives it.
std::unique_ptr<grpc::Service> MakeRegistryService(ChunkManager& chunks);

}  // namespace appendfs
