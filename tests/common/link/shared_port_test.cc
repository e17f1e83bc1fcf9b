#include "common/link/shared_port.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <deque>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "proto/chunkserver.pb.h"
#include "proto/master.grpc.pb.h"
#include "tests/common/link/link_server.h"

namespace appendfs {

absl::Status Echo::OnFrame(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto header, ParseHeader<v1::AppendReply>(frame));
  if (header.has_refusal()) return FromProto(header.refusal());
  busy_ = !Send(header, frame.payload);
  return absl::OkStatus();
}

namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

// Remembers what came.
class Listener final : public FrameLink::Owner {
 public:
  absl::Status OnFrame(const FrameParser::Frame& frame) override {
    absl::MutexLock lock(&mutex_);
    payloads_.emplace_back(frame.payload.view());
    return absl::OkStatus();
  }
  void OnWritten() override {
    absl::MutexLock lock(&mutex_);
    ++written_;
  }
  void OnClosed(const absl::Status& why) override {
    why_ = why;
    closed_.Notify();
  }

  std::string AwaitPayload() {
    absl::MutexLock lock(&mutex_);
    auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !payloads_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), kPatience)) return "nothing came";
    std::string payload = std::move(payloads_.front());
    payloads_.pop_front();
    return payload;
  }
  bool AwaitWritten(int count) {
    absl::MutexLock lock(&mutex_);
    auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return written_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  absl::Status AwaitClosed() {
    if (!closed_.WaitForNotificationWithTimeout(kPatience)) return absl::OkStatus();
    return why_;
  }

 private:
  absl::Mutex mutex_;
  std::deque<std::string> payloads_ ABSL_GUARDED_BY(mutex_);
  int written_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Notification closed_;
  absl::Status why_;
};

class LinkTest : public testing::Test {
 protected:
  std::shared_ptr<FrameLink> Connect(const std::string& address) {
    auto link = FrameLink::To(threads_, address, LinkKind::kAppend);
    link->Begin(listener_);
    return link;
  }
  std::shared_ptr<FrameLink> ConnectToEcho() { return Connect(echo_.address()); }
  static std::string AddressWhereNobodyListens() {
    return LinkServer([](const auto& link) { return std::make_shared<Echo>(link); }).address();
  }

  LinkServer echo_{[](const auto& link) { return std::make_shared<Echo>(link); }};
  std::shared_ptr<Listener> listener_ = std::make_shared<Listener>();
  IoThreads threads_{"client"};
};

TEST_F(LinkTest, Frames_ComeBackInOrder) {
  auto link = ConnectToEcho();
  int waits = 0;
  for (int i = 0; i < 1000; ++i) {
    Buffer payload = Buffer::From(StrCat("frame ", i));
    if (!link->Write(v1::AppendReply(), std::span(&payload, 1))) {
      ASSERT_TRUE(listener_->AwaitWritten(++waits));
    }
  }
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(listener_->AwaitPayload(), StrCat("frame ", i));
}

TEST_F(LinkTest, BigFrame_OfManyParts_ComesBackWhole) {
  auto link = ConnectToEcho();
  std::vector<Buffer> parts;
  std::string whole;
  for (int i = 0; i < 200; ++i) {
    parts.push_back(Buffer::From(std::string(i % 7 == 0 ? 100 : 200'000, static_cast<char>(i))));
    whole += parts.back().view();
  }
  if (!link->Write(v1::AppendReply(), parts)) {
    ASSERT_TRUE(listener_->AwaitWritten(1));
  }
  EXPECT_TRUE(listener_->AwaitPayload() == whole);
}

TEST_F(LinkTest, NobodyListens_IsUnreachable) {
  Connect(AddressWhereNobodyListens());
  EXPECT_EQ(ReasonOf(listener_->AwaitClosed()), v1::UNREACHABLE);
}

TEST_F(LinkTest, Name_IsTriedAtAllItsAddresses) {
  const std::string port = echo_.address().substr(echo_.address().rfind(':'));
  auto link = Connect(StrCat("localhost", port));  // perhaps ::1 first, where nobody listens
  std::vector<Buffer> payload = {Buffer::From("by name")};
  link->Write(v1::AppendReply(), payload);
  EXPECT_EQ(listener_->AwaitPayload(), "by name");
}

TEST_F(LinkTest, NameThatNobodyKnows_IsUnreachable) {
  Connect("no-such-host.invalid:1");
  EXPECT_EQ(ReasonOf(listener_->AwaitClosed()), v1::UNREACHABLE);
}

TEST_F(LinkTest, OwnerThatRefusesAFrame_ClosesTheLink) {
  auto link = ConnectToEcho();
  v1::AppendReply refusal;
  refusal.mutable_refusal()->set_reason(v1::INVALID);
  link->Write(refusal, {});
  EXPECT_EQ(ReasonOf(listener_->AwaitClosed()), v1::UNREACHABLE);
}

TEST_F(LinkTest, Close_FromThisSide_IsToldOnce) {
  auto link = ConnectToEcho();
  link->Close();
  link->Close();
  EXPECT_EQ(ReasonOf(listener_->AwaitClosed()), v1::UNREACHABLE);
  EXPECT_TRUE(link->Write(v1::AppendReply(), {}));  // into the void
}

TEST_F(LinkTest, Close_BeforeTheBeginning_IsTold_AndDoesNotConnect) {
  auto link = FrameLink::To(threads_, AddressWhereNobodyListens(), LinkKind::kAppend);
  link->Close();
  link->Begin(listener_);
  const absl::Status why = listener_->AwaitClosed();
  EXPECT_NE(why.message().find("closed"), absl::string_view::npos) << why;  // not "refused"
}

TEST_F(LinkTest, OwnerThatMayNotRead_GetsTheRestAfterResume) {
  struct Reluctant final : FrameLink::Owner {
    absl::Status OnFrame(const FrameParser::Frame& frame) override {
      may_read = false;
      return inner->OnFrame(frame);
    }
    bool MayRead() override { return may_read; }
    void OnWritten() override {}
    void OnClosed(const absl::Status& why) override { inner->OnClosed(why); }
    std::atomic<bool> may_read{true};
    std::shared_ptr<Listener> inner;
  };
  auto reluctant = std::make_shared<Reluctant>();
  reluctant->inner = listener_;
  auto link = FrameLink::To(threads_, echo_.address(), LinkKind::kAppend);
  link->Begin(reluctant);
  std::vector<Buffer> payload = {Buffer::From("one")};
  link->Write(v1::AppendReply(), payload);
  ASSERT_EQ(listener_->AwaitPayload(), "one");
  payload = {Buffer::From("two")};
  ASSERT_TRUE(link->Write(v1::AppendReply(), payload));
  reluctant->may_read = true;
  link->Resume();
  EXPECT_EQ(listener_->AwaitPayload(), "two");
}

class Status final : public v1::Admin::CallbackService {
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest*,
                                      v1::GetStatusResponse* response) override {
    response->set_cluster_uuid("over grpc");
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

TEST_F(LinkTest, OnePort_ServesLinksAndGrpc) {
  Status service;
  auto server = *RpcServer::StartPortless({&service});
  LinkServer both([](const auto& link) { return std::make_shared<Echo>(link); },
                  [&](int descriptor) {
                    int no_delay = 0;
                    socklen_t bytes = sizeof(no_delay);
                    getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &bytes);
                    EXPECT_NE(no_delay, 0);
                    server->Adopt(descriptor);
                  });
  auto link = Connect(both.address());
  std::vector<Buffer> payload = {Buffer::From("over a link")};
  link->Write(v1::AppendReply(), payload);
  EXPECT_EQ(listener_->AwaitPayload(), "over a link");

  auto stub = v1::Admin::NewStub(MakeChannel(both.address()));
  grpc::ClientContext context;
  SetDeadline(context, std::chrono::seconds(20));
  v1::GetStatusResponse response;
  const grpc::Status status = stub->GetStatus(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.cluster_uuid(), "over grpc");
}

TEST_F(LinkTest, PortInUse_IsRefusedByName) {
  auto second = SharedPort::Listen(
      threads_, echo_.address(), [](LinkKind, const auto&) { return nullptr; }, [](int) {});
  EXPECT_EQ(ReasonOf(second.status()), v1::INPUT_OUTPUT);
  EXPECT_NE(second.status().message().find(echo_.address()), absl::string_view::npos);
}

}  // namespace
}  // namespace appendfs
