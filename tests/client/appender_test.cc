#include "client/appender.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/client/quiet_master.h"

namespace appendfs {
namespace {

using std::chrono::seconds;

// A master that knows one tail.
class FakeMaster final : public QuietMaster {
 public:
  void OpenTail(const v1::OpenTailRequest& request, Duration,
                absl::AnyInvocable<void(Result<v1::Chunk>) &&> done) override {
    v1::Chunk chunk;
    chunk.set_handle(request.failed_handle() == 0 ? 100 : request.failed_handle() + 1);
    chunk.set_epoch(1);
    chunk.set_primary_id(3);
    chunk.add_replicas()->set_server_id(3);
    chunk.mutable_replicas(0)->set_address("server");
    executor->Post([chunk, done = std::move(done)]() mutable { std::move(done)(chunk); });
  }

  Executor* executor = nullptr;
};

// A stream whose server commits everything, when told to.
class FakeStream final : public AppendStream {
 public:
  void Attach(ChunkHandle, std::weak_ptr<AppendSink> sink) override {
    absl::MutexLock lock(&mutex_);
    sink_ = std::move(sink);
  }
  void Detach(ChunkHandle) override {}
  bool Send(std::vector<OutgoingBatch> batches) override {
    absl::MutexLock lock(&mutex_);
    if (broken_) return false;
    for (OutgoingBatch& batch : batches) waiting_.push_back(std::move(batch));
    return true;
  }
  void Flush() override {}

  size_t AwaitBatches(size_t count) {
    auto enough = [this, count]()
                      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return waiting_.size() >= count; };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
    return waiting_.size();
  }
  // Commits the first batch.
  void CommitOne() {
    v1::AppendOutcome outcome;
    std::shared_ptr<AppendSink> sink;
    {
      absl::MutexLock lock(&mutex_);
      const OutgoingBatch& batch = waiting_.front();
      outcome.set_handle(batch.handle.value());
      outcome.set_epoch(batch.epoch.value());
      outcome.set_sequence(batch.sequence.value());
      outcome.set_offset(file_.size());
      file_.append(batch.payload.view());
      waiting_.pop_front();
      sink = sink_.lock();
    }
    if (sink != nullptr) sink->OnOutcome(outcome);
  }
  void Break() {
    std::shared_ptr<AppendSink> sink;
    ChunkHandle handle(100);
    {
      absl::MutexLock lock(&mutex_);
      broken_ = true;
      waiting_.clear();
      sink = sink_.lock();
    }
    if (sink != nullptr) sink->OnBroken(*this, handle, MakeError(v1::UNREACHABLE, "broken"));
  }
  std::string file() {
    absl::MutexLock lock(&mutex_);
    return file_;
  }

 private:
  absl::Mutex mutex_;
  bool broken_ = false;
  std::deque<OutgoingBatch> waiting_;
  std::weak_ptr<AppendSink> sink_;
  std::string file_;
};

class FakeStreams final : public AppendStreams {
 public:
  std::shared_ptr<AppendStream> Get(const std::string&, ClientId) override {
    absl::MutexLock lock(&mutex_);
    streams_.push_back(std::make_shared<FakeStream>());
    return streams_.back();
  }
  std::shared_ptr<FakeStream> Await(size_t number) {
    auto there = [this, number]() { return streams_.size() >= number; };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(20));
    return streams_.size() >= number ? streams_[number - 1] : nullptr;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<FakeStream>> streams_;
};

class AppenderTest : public testing::Test {
 protected:
  AppenderTest() {
    master_.executor = executor_.get();
    session_ = *Session::Open(master_, clock_, {}, clock_.Monotonic() + seconds(5));
    shared_.reset(new Appender::Shared{clock_, *executor_, master_, streams_, *session_, sequences_,
                                       budget_, options_});
    appender_ = std::make_shared<Appender>(InodeId(5), *shared_, known_);
  }
  ~AppenderTest() override {
    appender_->Fail(MakeError(v1::SHUTTING_DOWN, "end of test"));
    appender_.reset();
    executor_.reset();
  }
  void Append(const std::string& record) {
    appender_->Append(record, std::nullopt, [this](absl::StatusOr<FileOffset> offset) {
      absl::MutexLock lock(&mutex_);
      answers_.push_back(offset.ok() ? static_cast<int64_t>(offset->bytes()) : -1);
    });
  }
  std::vector<int64_t> AwaitAnswers(size_t count) {
    auto there = [this, count]() { return answers_.size() >= count; };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(20));
    return answers_;
  }

  const SystemClock clock_;
  FakeMaster master_;
  FakeStreams streams_;
  SequenceSource sequences_;
  QueueBudget budget_{1 << 20};
  AppenderOptions options_;
  std::unique_ptr<Executor> executor_ = MakeThreadExecutor("test");
  std::unique_ptr<Session> session_;
  std::unique_ptr<Appender::Shared> shared_;
  std::shared_ptr<KnownSize> known_ = std::make_shared<KnownSize>();
  std::shared_ptr<Appender> appender_;
  absl::Mutex mutex_;
  std::vector<int64_t> answers_;
};

TEST_F(AppenderTest, Records_AreSentGatheredAndAnswered) {
  Append("one\n");
  std::shared_ptr<FakeStream> stream = streams_.Await(1);
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->AwaitBatches(1), 1u);
  Append("two\n");
  Append("three\n");
  EXPECT_EQ(appender_->queued_bytes(), 14u);
  stream->CommitOne();
  ASSERT_EQ(stream->AwaitBatches(1), 1u);
  stream->CommitOne();
  EXPECT_EQ(AwaitAnswers(3), (std::vector<int64_t>{0, 4, 8}));
  EXPECT_EQ(stream->file(), "one\ntwo\nthree\n");
  EXPECT_EQ(known_->get(), 14u);
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(AppenderTest, BrokenStream_BatchGoesToTheNextTail) {
  Append("one\n");
  std::shared_ptr<FakeStream> first = streams_.Await(1);
  ASSERT_NE(first, nullptr);
  first->AwaitBatches(1);
  first->Break();
  std::shared_ptr<FakeStream> second = streams_.Await(2);
  ASSERT_NE(second, nullptr);
  ASSERT_EQ(second->AwaitBatches(1), 1u);
  second->CommitOne();
  EXPECT_EQ(AwaitAnswers(1), (std::vector<int64_t>{0}));
}

TEST_F(AppenderTest, FlushOfNothing_AnswersAtOnce) {
  bool flushed = false;
  appender_->Flush([&flushed] { flushed = true; });
  EXPECT_TRUE(flushed);
}

TEST_F(AppenderTest, FailedRecord_IsToldOnceByTakeFailure) {
  Append("");
  EXPECT_EQ(AwaitAnswers(1), (std::vector<int64_t>{-1}));
  EXPECT_TRUE(HasReason(appender_->TakeFailure(), v1::INVALID));
  EXPECT_TRUE(appender_->TakeFailure().ok());
}

TEST_F(AppenderTest, NewSession_SentFailsInDoubtAndTheRestGoesOn) {
  Append("one\n");
  std::shared_ptr<FakeStream> first = streams_.Await(1);
  ASSERT_NE(first, nullptr);
  first->AwaitBatches(1);
  Append("two\n");
  appender_->OnSession(ClientId(8));
  EXPECT_EQ(AwaitAnswers(1), (std::vector<int64_t>{-1}));
  std::shared_ptr<FakeStream> second = streams_.Await(2);
  ASSERT_NE(second, nullptr);
  ASSERT_EQ(second->AwaitBatches(1), 1u);
  second->CommitOne();
  EXPECT_EQ(AwaitAnswers(2), (std::vector<int64_t>{-1, 0}));
  EXPECT_EQ(second->file(), "two\n");
}

TEST_F(AppenderTest, ManyThreads_EveryRecordOnceAndWhole) {
  constexpr int kThreads = 4, kRecords = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([this, t] {
      for (int i = 0; i < kRecords; ++i)
        Append(std::string(1, static_cast<char>('a' + t)) + std::to_string(i) + "\n");
    });
  std::shared_ptr<FakeStream> stream = streams_.Await(1);
  ASSERT_NE(stream, nullptr);
  absl::Notification flushed;
  std::thread server([&] {
    while (!flushed.HasBeenNotified())
      if (stream->AwaitBatches(1) > 0) stream->CommitOne();
  });
  for (std::thread& thread : threads) thread.join();
  appender_->Flush([&] { flushed.Notify(); });
  flushed.WaitForNotification();
  EXPECT_EQ(AwaitAnswers(kThreads * kRecords).size(), size_t{kThreads * kRecords});
  Append("last\n");  // wakes the server, which then sees the end
  server.join();
  std::vector<int> next(kThreads, 0);
  std::string file = stream->file();
  for (size_t at = 0, end; (end = file.find('\n', at)) != std::string::npos; at = end + 1) {
    int thread = file[at] - 'a';
    if (file.compare(at, 4, "last") == 0) continue;
    ASSERT_EQ(file.substr(at + 1, end - at - 1), std::to_string(next[thread]++));
  }
  EXPECT_EQ(next, std::vector<int>(kThreads, kRecords));
}

}  // namespace
}  // namespace appendfs
