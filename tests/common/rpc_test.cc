#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/synchronization/notification.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/master.grpc.pb.h"

namespace appendfs {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

class FakeAdmin final : public v1::Admin::CallbackService {
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest*,
                                      v1::GetStatusResponse* response) override {
    response->set_cluster_uuid("some-uuid");
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerUnaryReactor* GetFile(grpc::CallbackServerContext* context, const v1::GetFileRequest*,
                                    v1::GetFileResponse*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(MakeError(v1::NO_ENTRY, "/x: no such file")));
    return reactor;
  }
};

// One unary call by name, in raw bytes, as reflection and health tools do it.
std::pair<grpc::Status, std::string> CallRaw(const std::shared_ptr<grpc::Channel>& channel,
                                             const std::string& method) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetDeadline(context, std::chrono::seconds(20));
  grpc::Slice nothing;
  grpc::ByteBuffer request(&nothing, 1), response;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, method, {}, &request, &response, [&](grpc::Status result) {
    status = std::move(result);
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  grpc::Slice slice;
  std::string bytes;
  if (status.ok() && response.DumpToSingleSlice(&slice).ok())
    bytes.assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return {status, bytes};
}

class RpcServerTest : public testing::Test {
 protected:
  RpcServerTest() {
    auto server = RpcServer::Start("127.0.0.1:0", {&service_});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = StrCat("127.0.0.1:", server_->port());
    channel_ = MakeChannel(address_);
  }

  FakeAdmin service_;
  std::unique_ptr<RpcServer> server_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(RpcServerTest, Call_Answers) {
  auto stub = v1::Admin::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context, std::chrono::seconds(20));
  v1::GetStatusResponse response;
  grpc::Status status = stub->GetStatus(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.cluster_uuid(), "some-uuid");
}

TEST_F(RpcServerTest, Error_KeepsReasonAndMessage) {
  auto stub = v1::Admin::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context, std::chrono::seconds(20));
  v1::GetFileResponse response;
  absl::Status status = FromGrpc(stub->GetFile(&context, {}, &response), "master");
  EXPECT_EQ(ReasonOf(status), v1::NO_ENTRY);
  EXPECT_EQ(status.message(), "/x: no such file");
}

TEST_F(RpcServerTest, Health_Serving) {
  auto [status, response] = CallRaw(channel_, "/grpc.health.v1.Health/Check");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response, "\x08\x01");  // status: SERVING
}

TEST_F(RpcServerTest, Reflection_ListsTheService) {
  grpc::GenericStub stub(channel_);
  struct Lister : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
    void OnReadDone(bool ok) override {
      grpc::Slice slice;
      if (ok && response.DumpToSingleSlice(&slice).ok())
        bytes.assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
      StartWritesDone();
    }
    void OnDone(const grpc::Status& result) override {
      status = result;
      done.Notify();
    }
    grpc::ClientContext context;
    grpc::ByteBuffer request, response;
    std::string bytes;
    grpc::Status status;
    absl::Notification done;
  } lister;
  SetDeadline(lister.context, std::chrono::seconds(20));
  grpc::Slice list_services(std::string("\x3a\x01*"));  // list_services = 7: "*"
  lister.request = grpc::ByteBuffer(&list_services, 1);
  stub.PrepareBidiStreamingCall(&lister.context,
                                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                {}, &lister);
  lister.StartWrite(&lister.request);
  lister.StartRead(&lister.response);
  lister.StartCall();
  ASSERT_TRUE(lister.done.WaitForNotificationWithTimeout(kPatience));
  EXPECT_TRUE(lister.status.ok()) << lister.status.error_message();
  EXPECT_NE(lister.bytes.find("appendfs.v1.Admin"), std::string::npos);
}

TEST_F(RpcServerTest, SecondServer_OnTheSamePort_IsRefused) {
  FakeAdmin other;
  auto second = RpcServer::Start(address_, {&other});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(ReasonOf(second.status()), v1::INPUT_OUTPUT);
  EXPECT_NE(second.status().message().find(address_), absl::string_view::npos);
}

TEST_F(RpcServerTest, Gone_IsUnreachable_AndBackAgain) {
  server_.reset();
  auto [status, response] = CallRaw(channel_, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(ReasonOf(FromGrpc(status, "cs")), v1::UNREACHABLE);
  FakeAdmin again;
  auto server = RpcServer::Start(address_, {&again});
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE(
      channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20)));
  EXPECT_TRUE(CallRaw(channel_, "/grpc.health.v1.Health/Check").first.ok());
}

}  // namespace
}  // namespace appendfs
