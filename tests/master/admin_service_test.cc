// The operators' service over real gRPC, on the loopback.

#include "master/rpc/admin_service.h"

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/master.grpc.pb.h"
#include "tests/master/master_fixture.h"

namespace appendfs {
namespace {

class AdminServiceTest : public MasterFixture {
 protected:
  AdminServiceTest()
      : service_(MakeAdminService(parts())),
        server_(RpcServer::Start("127.0.0.1:0", {service_.get()}).value()),
        admin_(v1::Admin::NewStub(MakeChannel(StrCat("127.0.0.1:", server_->port())))) {
    absl::Notification open;
    sessions_->Open("test", [&](const absl::StatusOr<ClientId>&) { open.Notify(); });
    open.WaitForNotification();
  }

  template <class Request, class Response>
  absl::Status Ask(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                   Request request, Response& response) {
    grpc::ClientContext context;
    SetDeadline(context, std::chrono::seconds(10));
    *request.mutable_version() = OurProtocol();
    return FromGrpc((admin_.get()->*method)(&context, request, &response), "master");
  }

  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

TEST_F(AdminServiceTest, File_ShowsChunksAndReplicas) {
  absl::StatusOr<v1::MetaResult> made =
      ProposeAndWait(*opened_.log, MakeFileOp(OpenSession(*opened_.log), 1, "f"));
  uint64_t handle = Allocate(made->make_node().entry().attributes().inode());
  v1::GetFileRequest request;
  request.set_path("/f");
  v1::GetFileResponse file;
  ASSERT_TRUE(Ask(&v1::Admin::Stub::GetFile, request, file).ok());
  ASSERT_EQ(file.chunks_size(), 1);
  EXPECT_EQ(file.chunks(0).chunk().handle(), handle);
  EXPECT_EQ(file.chunks(0).chunk().replicas(1).address(), "server-2");
  EXPECT_TRUE(file.chunks(0).replicas(0).reachable());
  request.set_path("/none");
  EXPECT_TRUE(HasReason(Ask(&v1::Admin::Stub::GetFile, request, file), v1::NO_ENTRY));
  request.set_path("/");
  ASSERT_TRUE(Ask(&v1::Admin::Stub::GetFile, request, file).ok());
  EXPECT_EQ(file.attributes().type(), v1::DIRECTORY);
}

TEST_F(AdminServiceTest, StatusAndServers_AreAnswered) {
  v1::GetStatusResponse status;
  ASSERT_TRUE(Ask(&v1::Admin::Stub::GetStatus, v1::GetStatusRequest(), status).ok());
  EXPECT_EQ(status.cluster_uuid(), opened_.cluster_uuid);
  EXPECT_EQ(status.sessions(), 1u);
  EXPECT_EQ(status.inodes(), 1u);
  EXPECT_EQ(status.health(), "ok");
  v1::ListServersResponse servers;
  ASSERT_TRUE(Ask(&v1::Admin::Stub::ListServers, v1::ListServersRequest(), servers).ok());
  EXPECT_EQ(servers.servers(0).server_id(), 4u);
  grpc::ClientContext context;
  EXPECT_TRUE(HasReason(
      FromGrpc(admin_->ListServers(&context, v1::ListServersRequest(), &servers), "master"),
      v1::VERSION_MISMATCH));
}

}  // namespace
}  // namespace appendfs
