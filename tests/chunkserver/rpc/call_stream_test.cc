#include "chunkserver/rpc/call_stream.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

// Keeps what was written; takes it at once.
class FakeLink final : public FrameLink {
 public:
  void Begin(std::shared_ptr<Owner>) override {}
  bool Write(const google::protobuf::MessageLite& header, std::span<const Buffer>) override {
    written.push_back(static_cast<const v1::DataAnswer&>(header));
    return true;
  }
  void Resume() override { ++resumed; }
  void Close() override {}

  std::vector<v1::DataAnswer> written;
  int resumed = 0;
};

class CallStreamTest : public testing::Test {
 protected:
  CallStreamTest() {
    cluster_.CreateEverywhere();
    v1::DataCall hello;
    *hello.mutable_hello()->mutable_version() = OurProtocol();
    hello.mutable_hello()->set_cluster_uuid("ours");
    Receive(hello);
  }
  void Receive(const v1::DataCall& call) {
    const std::string header = call.SerializeAsString();
    ASSERT_TRUE(stream_->OnFrame({header, Buffer()}).ok());
  }
  static v1::DataCall FreshRead(uint64_t id) {
    v1::DataCall call;
    call.set_id(id);
    call.mutable_read()->set_handle(TestCluster::kHandle.value());
    call.mutable_read()->set_epoch(TestCluster::kEpoch.value());
    call.mutable_read()->set_length(ChunkReader::kMaxBytes);
    call.mutable_read()->set_fresh(true);
    return call;
  }

  TestCluster cluster_;
  ChunkReader reader_{cluster_.engine(1), cluster_.store(1)};
  Membership membership_{"ours", ServerId(1)};
  WorkerPool readers_{"readers", 1};
  std::shared_ptr<FakeLink> link_ = std::make_shared<FakeLink>();
  std::shared_ptr<CallStream> stream_ =
      std::make_shared<CallStream>(link_, reader_, membership_, readers_);
};

TEST_F(CallStreamTest, TooMuchAskedFor_NothingMoreIsRead_UntilItIsAnswered) {
  constexpr int kReads = CallStream::kMaxBytesUnderWay / ChunkReader::kMaxBytes;
  for (int i = 1; i <= kReads; ++i) {
    EXPECT_TRUE(stream_->MayRead());
    Receive(FreshRead(i));
  }
  EXPECT_FALSE(stream_->MayRead());
  EXPECT_EQ(link_->written.size(), 1u);  // the greeting
  const int resumed = link_->resumed;
  cluster_.Settle();
  EXPECT_EQ(link_->written.size(), 1u + kReads);
  EXPECT_TRUE(stream_->MayRead());
  EXPECT_GT(link_->resumed, resumed);
}

TEST_F(CallStreamTest, UnknownCall_IsAnsweredAndCostsNothing) {
  v1::DataCall call;
  call.set_id(9);
  Receive(call);
  ASSERT_EQ(link_->written.size(), 2u);
  EXPECT_EQ(link_->written[1].id(), 9u);
  EXPECT_EQ(link_->written[1].error().reason(), v1::INVALID);
  EXPECT_TRUE(stream_->MayRead());
}

}  // namespace
}  // namespace appendfs
