// The services over real gRPC, on the loopback.

#include "master/rpc/master_service.h"

#include <gmock/gmock.h>

#include <thread>

#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "master/rpc/admin_service.h"
#include "proto/master.grpc.pb.h"
#include "tests/master/master_fixture.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

class MasterServiceTest : public MasterFixture {
 protected:
  MasterServiceTest()
      : master_service_(MakeMasterService(parts())),
        admin_service_(MakeAdminService(parts())),
        server_(
            RpcServer::Start("127.0.0.1:0", {master_service_.get(), admin_service_.get()}).value()),
        channel_(MakeChannel(StrCat("127.0.0.1:", server_->port()))),
        master_(v1::Master::NewStub(channel_)),
        admin_(v1::Admin::NewStub(channel_)) {
    v1::OpenSessionResponse response;
    EXPECT_TRUE(Call(&v1::Master::Stub::OpenSession, SessionRequest(), response).ok());
    client_ = response.client_id();
  }

  template <class Request, class Response>
  absl::Status Call(grpc::Status (v1::Master::Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                    const Request& request, Response& response,
                    Duration timeout = std::chrono::seconds(10)) {
    grpc::ClientContext context;
    SetDeadline(context, timeout);
    return FromGrpc((master_.get()->*method)(&context, request, &response), "master");
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

  std::unique_ptr<grpc::Service> master_service_, admin_service_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Master::Stub> master_;
  std::unique_ptr<v1::Admin::Stub> admin_;
  uint64_t client_ = 0;
};

TEST_F(MasterServiceTest, MutationAndRead_GoThrough) {
  v1::MakeNodeResponse made;
  ASSERT_TRUE(Call(&v1::Master::Stub::MakeNode, MakeRequest(client_, 1, "f"), made).ok());
  v1::GetAttributesRequest request;
  request.set_client_id(client_);
  request.set_inode(made.entry().attributes().inode());
  v1::Entry entry;
  ASSERT_TRUE(Call(&v1::Master::Stub::GetAttributes, request, entry).ok());
  EXPECT_EQ(entry.attributes().mode(), 0644u);
}

TEST_F(MasterServiceTest, Refusal_CarriesReasonAndMessage) {
  v1::MakeNodeResponse made;
  absl::Status status = Call(&v1::Master::Stub::MakeNode, MakeRequest(client_, 1, "a/b"), made);
  EXPECT_TRUE(HasReason(status, v1::INVALID));
  EXPECT_THAT(std::string(status.message()), HasSubstr("a/b"));
  v1::OpenSessionRequest request = SessionRequest();
  request.mutable_version()->set_lowest(8);
  request.mutable_version()->set_current(9);
  v1::OpenSessionResponse response;
  EXPECT_TRUE(
      HasReason(Call(&v1::Master::Stub::OpenSession, request, response), v1::VERSION_MISMATCH));
}

TEST_F(MasterServiceTest, OpenTail_CallerThatGivesUp_IsLetGo) {
  v1::OpenTailRequest request;
  request.set_client_id(client_);
  v1::OpenTailResponse response;
  absl::Status status =
      Call(&v1::Master::Stub::OpenTail, request, response, std::chrono::milliseconds(100));
  EXPECT_TRUE(HasReason(status, v1::TIMED_OUT)) << status;
  chunks_.TakeTail()(v1::Chunk());  // too late, and harmless
}

TEST_F(MasterServiceTest, OpenTail_ServerShutDown_EndsTheCall) {
  v1::OpenTailRequest request;
  request.set_client_id(client_);
  v1::OpenTailResponse response;
  absl::Status status;
  std::thread caller([&] { status = Call(&v1::Master::Stub::OpenTail, request, response); });
  ChunkManager::TailDone done = chunks_.TakeTail();
  server_->Shutdown(std::chrono::milliseconds(10));
  caller.join();
  EXPECT_FALSE(status.ok());
  std::move(done)(v1::Chunk());
}

TEST_F(MasterServiceTest, Admin_File_ShowsChunksAndReplicas) {
  v1::MakeNodeResponse made;
  ASSERT_TRUE(Call(&v1::Master::Stub::MakeNode, MakeRequest(client_, 1, "f"), made).ok());
  uint64_t handle = Allocate(made.entry().attributes().inode());
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

TEST_F(MasterServiceTest, Admin_StatusAndServers_AreAnswered) {
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
