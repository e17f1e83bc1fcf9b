#include "master/rpc/registry_service.h"

#include "common/protocol.h"
#include "common/str_cat.h"
#include "master/rpc/reply.h"
#include "proto/master.grpc.pb.h"

namespace appendfs {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

class RegistryService final : public v1::ServerRegistry::CallbackService {
 public:
  explicit RegistryService(ChunkManager& chunks) : chunks_(chunks) {}

  Reactor* Register(Context* context, const v1::RegisterRequest* request,
                    v1::RegisterResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    absl::Status fits =
        CheckProtocol(request->version(), StrCat("chunkserver ", request->address()));
    if (!fits.ok()) {
      reactor->Finish(ToGrpc(fits));
      return reactor;
    }
    auto reply = AnswerLater(reactor, response);
    chunks_.Register(
        *request, [reply = std::move(reply)](absl::StatusOr<v1::RegisterResponse> result) mutable {
          if (result.ok()) *result->mutable_version() = OurProtocol();
          std::move(reply)(std::move(result));
        });
    return reactor;
  }

  Reactor* ReportChunks(Context* context, const v1::ReportChunksRequest* request,
                        v1::ReportChunksResponse*) override {
    Reactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(chunks_.ReportChunks(*request)));
    return reactor;
  }

  Reactor* Heartbeat(Context* context, const v1::HeartbeatRequest* request,
                     v1::HeartbeatResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    *response = chunks_.Heartbeat(*request);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  ChunkManager& chunks_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRegistryService(ChunkManager& chunks) {
  return std::make_unique<RegistryService>(chunks);
}

}  // namespace appendfs
