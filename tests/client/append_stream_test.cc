#include "client/append_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/protocol.h"
#include "tests/common/link/link_server.h"

namespace appendfs {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

// Counts what comes, and commits all of it; refuses clients of other clusters.
struct Received {
  absl::Mutex mutex;
  int messages ABSL_GUARDED_BY(mutex) = 0;
  int batches ABSL_GUARDED_BY(mutex) = 0;
  std::string payload ABSL_GUARDED_BY(mutex);
};

class Primary final : public FrameLink::Owner {
 public:
  Primary(std::shared_ptr<FrameLink> link, Received& received)
      : link_(std::move(link)), received_(received) {}
  absl::Status OnFrame(const FrameParser::Frame& frame) override {
    APPENDFS_ASSIGN_OR_RETURN(const auto request, ParseHeader<v1::AppendRequest>(frame));
    v1::AppendReply reply;
    if (request.has_hello()) {
      if (request.hello().cluster_uuid() == "ours")
        *reply.mutable_version() = OurProtocol();
      else
        *reply.mutable_refusal() = ToProto(MakeError(v1::WRONG_CLUSTER, "not mine"));
    }
    for (const v1::AppendBatch& batch : request.batches()) {
      v1::AppendOutcome& outcome = *reply.add_outcomes();
      outcome.set_handle(batch.handle());
      outcome.set_sequence(batch.sequence());
    }
    {
      absl::MutexLock lock(&received_.mutex);
      if (request.batches_size() > 0) ++received_.messages;
      received_.batches += request.batches_size();
      received_.payload += frame.payload.view();
    }
    link_->Write(reply, {});
    return absl::OkStatus();
  }
  void OnWritten() override {}
  void OnClosed(const absl::Status&) override {}

 private:
  const std::shared_ptr<FrameLink> link_;
  Received& received_;
};

class Sink final : public AppendSink {
 public:
  void OnOutcome(const v1::AppendOutcome&) override {
    absl::MutexLock lock(&mutex_);
    ++outcomes_;
  }
  void OnBroken(const AppendStream&, ChunkHandle, const absl::Status& why) override {
    absl::MutexLock lock(&mutex_);
    broken_ = why;
  }
  bool AwaitOutcomes(int count) {
    auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return outcomes_ >= count; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  absl::Status AwaitBroken() {
    auto broken = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !broken_.ok(); };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&broken), kPatience);
    return broken_;
  }

 private:
  absl::Mutex mutex_;
  int outcomes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);
};

class AppendStreamTest : public testing::Test {
 protected:
  ~AppendStreamTest() override {
    for (auto& streams : all_) streams.reset();
    threads_.Stop();
  }
  std::shared_ptr<AppendStream> Stream(const std::string& cluster = "ours") {
    all_.push_back(AppendStreams::Create(cluster, threads_, *timers_, clock_));
    auto stream = all_.back()->Get(server_.address(), ClientId(1));
    stream->Attach(ChunkHandle(5), sink_);
    return stream;
  }
  static std::vector<OutgoingBatch> Batch(uint64_t sequence, std::string bytes) {
    std::vector<OutgoingBatch> batches(1);
    batches[0].handle = ChunkHandle(5);
    batches[0].sequence = Sequence(sequence);
    batches[0].payload = Buffer::From(std::move(bytes));
    return batches;
  }

  Received received_;
  LinkServer server_{
      [this](const auto& link) { return std::make_shared<Primary>(link, received_); }};
  std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
  SystemClock clock_;
  std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
  IoThreads threads_{"client"};
  std::vector<std::unique_ptr<AppendStreams>> all_;
};

TEST_F(AppendStreamTest, Batches_ArriveInOrder_AndAreAnswered) {
  auto stream = Stream();
  std::string expected;
  for (int i = 1; i <= 100; ++i) {
    expected += StrCat("record ", i, "\n");
    ASSERT_TRUE(stream->Send(Batch(i, StrCat("record ", i, "\n"))));
    stream->Flush();
  }
  ASSERT_TRUE(sink_->AwaitOutcomes(100));
  absl::MutexLock lock(&received_.mutex);
  EXPECT_EQ(received_.payload, expected);
}

TEST_F(AppendStreamTest, WhatNobodyWaitsFor_SharesMessages_UntilSomebodyDoes) {
  auto stream = Stream();
  ASSERT_TRUE(stream->Send(Batch(1, "x")));
  stream->Flush();
  ASSERT_TRUE(sink_->AwaitOutcomes(1));  // the link stands
  for (int i = 2; i <= 100; ++i) {
    ASSERT_TRUE(stream->Send(Batch(i, "x")));
    stream->FlushSoon();
  }
  ASSERT_TRUE(sink_->AwaitOutcomes(100));
  absl::MutexLock lock(&received_.mutex);
  EXPECT_EQ(received_.batches, 100);
  EXPECT_LT(received_.messages, 100);
}

TEST_F(AppendStreamTest, Refused_TellsTheReason) {
  auto stream = Stream("theirs");
  EXPECT_EQ(ReasonOf(sink_->AwaitBroken()), v1::WRONG_CLUSTER);
  EXPECT_FALSE(stream->Send(Batch(1, "x")));
}

TEST_F(AppendStreamTest, BrokenStream_IsReplacedByTheNextGet) {
  auto stream = Stream();
  auto again = all_.back()->Get(server_.address(), ClientId(1));
  EXPECT_EQ(again, stream);
  auto other = all_.back()->Get(server_.address(), ClientId(2));
  EXPECT_NE(other, stream);
  EXPECT_EQ(ReasonOf(sink_->AwaitBroken()), v1::UNREACHABLE);
}

}  // namespace
}  // namespace appendfs
