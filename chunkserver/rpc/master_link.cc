#include "chunkserver/rpc/master_link.h"

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/master.grpc.pb.h"

namespace appendfs {
namespace {

constexpr Duration kDeadline = std::chrono::seconds(2);
constexpr Duration kReportDeadline = std::chrono::seconds(20);

class GrpcMasterLink final : public MasterLink {
 public:
  explicit GrpcMasterLink(const std::string& address)
      : peer_(StrCat("master ", address)),
        stub_(v1::ServerRegistry::NewStub(MakeChannel(address))) {}

  absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request) override {
    return Call<v1::RegisterResponse>(&v1::ServerRegistry::Stub::Register, request, kDeadline);
  }
  absl::Status ReportChunks(const v1::ReportChunksRequest& request) override {
    return Call<v1::ReportChunksResponse>(&v1::ServerRegistry::Stub::ReportChunks, request,
                                          kReportDeadline)
        .status();
  }
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request) override {
    return Call<v1::HeartbeatResponse>(&v1::ServerRegistry::Stub::Heartbeat, request, kDeadline);
  }
  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (running_ != nullptr) running_->TryCancel();
  }

 private:
  template <class Response, class Request>
  absl::StatusOr<Response> Call(grpc::Status (v1::ServerRegistry::Stub::*method)(
                                    grpc::ClientContext*, const Request&, Response*),
                                const Request& request, Duration deadline) {
    grpc::ClientContext context;
    SetDeadline(context, deadline);
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return MakeError(v1::SHUTTING_DOWN, "this server is about to exit");
      running_ = &context;
    }
    Response response;
    grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    {
      absl::MutexLock lock(&mutex_);
      running_ = nullptr;
    }
    if (!status.ok()) return FromGrpc(status, peer_);
    return response;
  }

  const std::string peer_;
  const std::unique_ptr<v1::ServerRegistry::Stub> stub_;
  absl::Mutex mutex_;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<MasterLink> MakeGrpcMasterLink(const std::string& address) {
  return std::make_unique<GrpcMasterLink>(address);
}

}  // namespace appendfs
