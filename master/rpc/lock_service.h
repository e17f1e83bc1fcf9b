#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "master/locks/locks.h"

namespace appendfs {

// Serves FileLocks (proto/locks.proto); `locks` outlives it.
std::unique_ptr<grpc::Service> MakeLockService(Locks& locks);

}  // namespace appendfs
