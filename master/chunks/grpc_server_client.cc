#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "master/chunks/server_client.h"
#include "proto/chunkserver.grpc.pb.h"

namespace appendfs {
namespace {

class GrpcServerClient final : public ServerClient {
 public:
  ~GrpcServerClient() override {
    absl::MutexLock lock(&mutex_);
    for (grpc::ClientContext* context : running_) context->TryCancel();
    mutex_.Await(absl::Condition(
        +[](absl::flat_hash_set<grpc::ClientContext*>* running) { return running->empty(); },
        &running_));
  }

  void Call(const std::string& address, v1::CreateChunksRequest request, Duration timeout,
            Done<v1::CreateChunksResponse> done) override {
    Start(&Stub::async_interface::CreateChunks, address, std::move(request), timeout,
          std::move(done));
  }
  void Call(const std::string& address, v1::FenceRequest request, Duration timeout,
            Done<v1::FenceResponse> done) override {
    Start(&Stub::async_interface::Fence, address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::ConformRequest request, Duration timeout,
            Done<v1::ConformResponse> done) override {
    Start(&Stub::async_interface::Conform, address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::OpenChunksRequest request, Duration timeout,
            Done<v1::OpenChunksResponse> done) override {
    Start(&Stub::async_interface::OpenChunks, address, std::move(request), timeout,
          std::move(done));
  }
  void Call(const std::string& address, v1::DeleteChunksRequest request, Duration timeout,
            Done<v1::DeleteChunksResponse> done) override {
    Start(&Stub::async_interface::DeleteChunks, address, std::move(request), timeout,
          std::move(done));
  }
  void Call(const std::string& address, v1::InspectRequest request, Duration timeout,
            Done<v1::InspectResponse> done) override {
    Start(&Stub::async_interface::Inspect, address, std::move(request), timeout, std::move(done));
  }
  void ConnectAnew(const std::string& address) override {
    absl::MutexLock lock(&mutex_);
    stubs_.erase(address);
  }

 private:
  struct Stub {
    using async_interface = v1::ChunkControl::StubInterface::async_interface;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::ChunkControl::Stub> control;
  };

  template <class Request, class Response>
  struct Running {
    std::shared_ptr<Stub> stub;
    std::string address;
    grpc::ClientContext context;
    Request request;
    Response response;
    Done<Response> done;
  };

  template <class Request, class Response>
  void Start(void (Stub::async_interface::*method)(grpc::ClientContext*, const Request*, Response*,
                                                   std::function<void(grpc::Status)>),
             const std::string& address, Request request, Duration timeout, Done<Response> done) {
    auto* call = new Running<Request, Response>;
    call->stub = StubFor(address);
    call->address = address;
    call->request = std::move(request);
    call->done = std::move(done);
    SetDeadline(call->context, timeout);
    {
      absl::MutexLock lock(&mutex_);
      running_.insert(&call->context);
    }
    auto* async = static_cast<typename Stub::async_interface*>(call->stub->control->async());
    (async->*method)(
        &call->context, &call->request, &call->response, [this, call](grpc::Status status) {
          if (status.ok()) {
            std::move(call->done)(std::move(call->response));
          } else {
            std::move(call->done)(FromGrpc(status, StrCat("chunkserver ", call->address)));
          }
          absl::MutexLock lock(&mutex_);
          running_.erase(&call->context);
          delete call;
        });
  }

  std::shared_ptr<Stub> StubFor(const std::string& address) {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Stub>& stub = stubs_[address];
    if (!stub) {
      stub = std::make_shared<Stub>();
      stub->channel = MakeChannel(address);
      stub->control = v1::ChunkControl::NewStub(stub->channel);
    }
    return stub;
  }

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Stub>> stubs_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<grpc::ClientContext*> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<ServerClient> MakeGrpcServerClient() {
  return std::make_unique<GrpcServerClient>();
}

}  // namespace appendfs
