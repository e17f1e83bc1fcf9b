#include "chunkserver/rpc/control_service.h"

#include "common/rpc/status.h"

namespace appendfs {
namespace {

template <class Request, class Response>
grpc::ServerUnaryReactor* RunOn(WorkerPool& pool, grpc::CallbackServerContext* context,
                                Control& control,
                                absl::Status (Control::*command)(const Request&, Response&),
                                const Request* request, Response* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  pool.Post([&control, command, reactor, request, response] {
    reactor->Finish(ToGrpc((control.*command)(*request, *response)));
  });
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* ControlService::CreateChunks(grpc::CallbackServerContext* context,
                                                       const v1::CreateChunksRequest* request,
                                                       v1::CreateChunksResponse* response) {
  return RunOn(quick_, context, control_, &Control::CreateChunks, request, response);
}

grpc::ServerUnaryReactor* ControlService::Fence(grpc::CallbackServerContext* context,
                                                const v1::FenceRequest* request,
                                                v1::FenceResponse* response) {
  return RunOn(quick_, context, control_, &Control::Fence, request, response);
}

grpc::ServerUnaryReactor* ControlService::Conform(grpc::CallbackServerContext* context,
                                                  const v1::ConformRequest* request,
                                                  v1::ConformResponse* response) {
  return RunOn(copies_, context, control_, &Control::Conform, request, response);
}

grpc::ServerUnaryReactor* ControlService::OpenChunks(grpc::CallbackServerContext* context,
                                                     const v1::OpenChunksRequest* request,
                                                     v1::OpenChunksResponse* response) {
  return RunOn(quick_, context, control_, &Control::OpenChunks, request, response);
}

grpc::ServerUnaryReactor* ControlService::DeleteChunks(grpc::CallbackServerContext* context,
                                                       const v1::DeleteChunksRequest* request,
                                                       v1::DeleteChunksResponse* response) {
  return RunOn(quick_, context, control_, &Control::DeleteChunks, request, response);
}

grpc::ServerUnaryReactor* ControlService::Inspect(grpc::CallbackServerContext* context,
                                                  const v1::InspectRequest* request,
                                                  v1::InspectResponse* response) {
  return RunOn(quick_, context, control_, &Control::Inspect, request, response);
}

}  // namespace appendfs
