#include "cli/admin_client.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/protocol.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/master.grpc.pb.h"

namespace appendfs::cli {

class AdminClient::Implementation {
 public:
  Implementation(std::string masters, std::chrono::milliseconds timeout) : timeout_(timeout) {
    for (absl::string_view address : absl::StrSplit(masters, ',', absl::SkipWhitespace())) {
      std::string name(address);
      masters_.push_back({name, v1::Admin::NewStub(MakeChannel(name))});
    }
  }

  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*,
                                                                        const Request&, Response*),
                                Request request) {
    *request.mutable_version() = OurProtocol();
    absl::Status last = MakeError(v1::INVALID, "no master named: use --master HOST:PORT");
    for (const Master& master : masters_) {
      grpc::ClientContext context;
      SetDeadline(context, timeout_);
      Response response;
      grpc::Status status = (master.stub.get()->*method)(&context, request, &response);
      if (status.ok()) return response;
      last = FromGrpc(status, StrCat("master ", master.address));
      if (HasReason(last, v1::UNREACHABLE))
        last = MakeError(v1::UNREACHABLE,
                         StrCat("master ", master.address, " cannot be reached; is it running? ",
                                "Name another one with --master or APPENDFS_MASTER"));
      else if (HasReason(last, v1::TIMED_OUT))
        last = MakeError(v1::TIMED_OUT, StrCat("master ", master.address, " did not answer within ",
                                               timeout_.count(), " ms"));
      if (!IsTransient(last)) break;
    }
    return last;
  }

 private:
  struct Master {
    std::string address;
    std::unique_ptr<v1::Admin::Stub> stub;
  };
  const std::chrono::milliseconds timeout_;
  std::vector<Master> masters_;
};

AdminClient::AdminClient(std::string master, std::chrono::milliseconds timeout)
    : implementation_(std::make_unique<Implementation>(std::move(master), timeout)) {}
AdminClient::~AdminClient() = default;

absl::StatusOr<v1::ListServersResponse> AdminClient::ListServers() {
  return implementation_->Call(&v1::Admin::Stub::ListServers, v1::ListServersRequest());
}

absl::StatusOr<v1::GetStatusResponse> AdminClient::GetStatus() {
  return implementation_->Call(&v1::Admin::Stub::GetStatus, v1::GetStatusRequest());
}

absl::StatusOr<v1::GetFileResponse> AdminClient::GetFile(std::string_view path) {
  v1::GetFileRequest request;
  request.set_path(std::string(path));
  return implementation_->Call(&v1::Admin::Stub::GetFile, request);
}

absl::StatusOr<v1::ForceSealResponse> AdminClient::ForceSeal(v1::ForceSealRequest request) {
  return implementation_->Call(&v1::Admin::Stub::ForceSeal, std::move(request));
}

}  // namespace appendfs::cli
