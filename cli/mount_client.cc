#include "cli/mount_client.h"

#include <utility>

#include "common/protocol.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/mount.grpc.pb.h"

namespace appendfs::cli {

class MountClient::Implementation {
 public:
  Implementation(const std::string& socket, std::chrono::milliseconds timeout)
      : peer_(StrCat("control socket ", socket)),
        timeout_(timeout),
        stub_(v1::MountControl::NewStub(MakeChannel(StrCat("unix:", socket)))) {}

  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::MountControl::Stub::*method)(grpc::ClientContext*,
                                                                               const Request&,
                                                                               Response*)) {
    Request request;
    *request.mutable_version() = OurProtocol();
    grpc::ClientContext context;
    SetDeadline(context, timeout_);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status, peer_);
    return response;
  }

 private:
  const std::string peer_;
  const std::chrono::milliseconds timeout_;
  const std::unique_ptr<v1::MountControl::Stub> stub_;
};

MountClient::MountClient(const std::string& socket, std::chrono::milliseconds timeout)
    : implementation_(std::make_unique<Implementation>(socket, timeout)) {}
MountClient::~MountClient() = default;

absl::StatusOr<v1::GetMountStatsResponse> MountClient::GetStats() {
  return implementation_->Call(&v1::MountControl::Stub::GetStats);
}

absl::StatusOr<v1::AbortMountResponse> MountClient::Abort() {
  return implementation_->Call(&v1::MountControl::Stub::Abort);
}

}  // namespace appendfs::cli
