#include "common/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <unistd.h>

#include <mutex>

#include "common/rpc/limits.h"
#include "common/rpc/prepare.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// gRPC keeps both as process-wide switches that builders look at.
void EnableCommonServices() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

void Configure(grpc::ServerBuilder& builder, const std::vector<grpc::Service*>& services) {
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // Without this two processes share one port, and each gets half the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kKeepaliveMs / 2);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kFlowWindowBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const std::string& listen, const std::vector<grpc::Service*>& services) {
  PrepareGrpc();
  EnableCommonServices();
  grpc::ServerBuilder builder;
  Configure(builder, services);
  std::unique_ptr<RpcServer> server(new RpcServer);
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &server->port_);
  server->server_ = builder.BuildAndStart();
  if (!server->server_ || server->port_ == 0)
    return MakeError(v1::INPUT_OUTPUT,
                     StrCat("listen on ", listen, ": cannot be bound (already in use?)"));
  return server;
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::StartPortless(
    const std::vector<grpc::Service*>& services) {
  PrepareGrpc();
  EnableCommonServices();
  grpc::ServerBuilder builder;
  Configure(builder, services);
  std::unique_ptr<RpcServer> server(new RpcServer);
  server->server_ = builder.BuildAndStart();
  if (!server->server_) return MakeError(v1::INPUT_OUTPUT, "gRPC cannot start its server");
  return server;
}

void RpcServer::Adopt(int descriptor) {
  absl::MutexLock lock(&adopting_);
  if (adopts_)
    grpc::AddInsecureChannelFromFd(server_.get(), descriptor);
  else
    ::close(descriptor);
}

RpcServer::~RpcServer() { Shutdown(Duration::zero()); }

void RpcServer::Shutdown(Duration patience) {
  if (!server_) return;
  {
    absl::MutexLock lock(&adopting_);
    adopts_ = false;
  }
  if (auto* health = server_->GetHealthCheckService()) health->Shutdown();
  server_->Shutdown(std::chrono::system_clock::now() +
                    std::chrono::duration_cast<std::chrono::system_clock::duration>(patience));
  server_->Wait();
  server_.reset();
}

}  // namespace appendfs
