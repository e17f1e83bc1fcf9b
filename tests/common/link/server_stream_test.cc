#include "common/link/server_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/chunkserver.pb.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;

// Keeps what was written; takes it at once unless told to be slow.
class FakeLink final : public FrameLink {
 public:
  void Begin(std::shared_ptr<Owner>) override {}
  bool Write(const google::protobuf::MessageLite& header, std::span<const Buffer>) override {
    written.push_back(static_cast<const v1::AppendReply&>(header));
    return !slow;
  }
  void Resume() override { ++resumed; }
  void Close() override {}

  std::vector<v1::AppendReply> written;
  bool slow = false;
  int resumed = 0;
};

class Numbers final : public ServerStream<v1::AppendReply> {
 public:
  using ServerStream::ServerStream;
  absl::Status OnHello(const FrameParser::Frame& frame) override {
    return frame.header == "hello" ? absl::OkStatus() : MakeError(v1::INVALID, "no hello");
  }
  absl::Status OnMessage(const FrameParser::Frame& frame) override {
    messages.emplace_back(frame.header);
    return frame.header == "bad" ? MakeError(v1::INVALID, "bad") : absl::OkStatus();
  }
  bool Admitted() override { return admitted; }
  void OnEnded() override { ++ended; }
  void Say(uint64_t handle, size_t payload_bytes = 0) {
    replies().Add(payload_bytes,
                  [&](auto& parcel) { parcel.header.add_outcomes()->set_handle(handle); });
    Pump();
  }

  std::vector<std::string> messages;
  bool admitted = true;
  int ended = 0;
};

class ServerStreamTest : public testing::Test {
 protected:
  void Receive(std::string_view header) { ASSERT_TRUE(stream_->OnFrame({header, Buffer()}).ok()); }

  std::shared_ptr<FakeLink> link_ = std::make_shared<FakeLink>();
  std::shared_ptr<Numbers> stream_ = std::make_shared<Numbers>(link_);
};

TEST_F(ServerStreamTest, Greeting_IsReadEvenWhileNobodyIsAdmitted) {
  stream_->admitted = false;
  EXPECT_TRUE(stream_->MayRead());
  Receive("hello");
  ASSERT_EQ(link_->written.size(), 1u);
  EXPECT_TRUE(link_->written[0].has_version());
  EXPECT_FALSE(stream_->MayRead());
  stream_->admitted = true;
  EXPECT_TRUE(stream_->MayRead());
}

TEST_F(ServerStreamTest, NoHello_IsRefused_AndNothingElseIsRead) {
  Receive("something");
  Receive("hello");
  Receive("message");
  ASSERT_EQ(link_->written.size(), 1u);
  EXPECT_TRUE(link_->written[0].has_refusal());
  EXPECT_THAT(stream_->messages, ElementsAre());
  EXPECT_EQ(stream_->ended, 1);
  stream_->OnClosed(absl::OkStatus());
  EXPECT_EQ(stream_->ended, 1);
}

TEST_F(ServerStreamTest, BadMessage_EndsTheStreamWithItsReason) {
  Receive("hello");
  Receive("bad");
  Receive("message");
  ASSERT_EQ(link_->written.size(), 2u);
  EXPECT_EQ(link_->written[1].refusal().reason(), v1::INVALID);
  EXPECT_THAT(stream_->messages, ElementsAre("bad"));
}

TEST_F(ServerStreamTest, WhileAWriteIsUnderWay_RepliesShareTheNext) {
  Receive("hello");
  link_->slow = true;
  stream_->Say(1);
  stream_->Say(2);
  stream_->Say(3);
  ASSERT_EQ(link_->written.size(), 2u);
  stream_->OnWritten();
  ASSERT_EQ(link_->written.size(), 3u);
  EXPECT_EQ(link_->written[2].outcomes_size(), 2);
  EXPECT_GE(link_->resumed, 3);
}

TEST_F(ServerStreamTest, WhoDoesNotRead_IsNotReadFrom) {
  Receive("hello");
  link_->slow = true;
  stream_->Say(1);
  EXPECT_TRUE(stream_->MayRead());
  stream_->Say(2, ParcelQueue<v1::AppendReply>::kCrowdedBytes);
  EXPECT_FALSE(stream_->MayRead());
  const int resumed = link_->resumed;
  stream_->OnWritten();
  EXPECT_TRUE(stream_->MayRead());
  EXPECT_GT(link_->resumed, resumed);
}

TEST_F(ServerStreamTest, Closed_TellsOnce_AndWritesNoMore) {
  Receive("hello");
  stream_->OnClosed(MakeError(v1::UNREACHABLE, "gone"));
  stream_->Say(1);
  EXPECT_EQ(link_->written.size(), 1u);
  EXPECT_EQ(stream_->ended, 1);
}

}  // namespace
}  // namespace appendfs
