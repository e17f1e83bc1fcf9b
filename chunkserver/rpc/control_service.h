#pragma once

#include "chunkserver/engine/control.h"
#include "chunkserver/engine/worker_pool.h"
#include "proto/chunkserver.grpc.pb.h"

namespace appendfs {

// ChunkControl over gRPC: carries commands to the threads that may wait. Long
// copies have their own, so that a fence never waits for one.
class ControlService final : public v1::ChunkControl::CallbackService {
 public:
  ControlService(Control& control, WorkerPool& quick, WorkerPool& copies)
      : control_(control), quick_(quick), copies_(copies) {}

  grpc::ServerUnaryReactor* CreateChunks(grpc::CallbackServerContext* context,
                                         const v1::CreateChunksRequest* request,
                                         v1::CreateChunksResponse* response) override;
  grpc::ServerUnaryReactor* Fence(grpc::CallbackServerContext* context,
                                  const v1::FenceRequest* request,
                                  v1::FenceResponse* response) override;
  grpc::ServerUnaryReactor* Conform(grpc::CallbackServerContext* context,
                                    const v1::ConformRequest* request,
                                    v1::ConformResponse* response) override;
  grpc::ServerUnaryReactor* OpenChunks(grpc::CallbackServerContext* context,
                                       const v1::OpenChunksRequest* request,
                                       v1::OpenChunksResponse* response) override;
  grpc::ServerUnaryReactor* DeleteChunks(grpc::CallbackServerContext* context,
                                         const v1::DeleteChunksRequest* request,
                                         v1::DeleteChunksResponse* response) override;
  grpc::ServerUnaryReactor* Inspect(grpc::CallbackServerContext* context,
                                    const v1::InspectRequest* request,
                                    v1::InspectResponse* response) override;

 private:
  Control& control_;
  WorkerPool& quick_;
  WorkerPool& copies_;
};

}  // namespace appendfs
