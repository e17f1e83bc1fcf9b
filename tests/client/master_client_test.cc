// The master as clients call it, against one that a test plays.

#include "client/master_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/interruption.h"
#include "common/link/server_stream.h"
#include "proto/master_calls.pb.h"
#include "tests/common/link/link_server.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What a master does with a call; an error breaks the link.
using Play = std::function<absl::StatusOr<v1::MasterAnswer>(const v1::MasterCall&)>;

class PlayedStream final : public ServerStream<v1::MasterAnswer> {
 public:
  PlayedStream(std::shared_ptr<FrameLink> link, Play& play)
      : ServerStream(link), link_(std::move(link)), play_(play) {}

 private:
  absl::Status OnHello(const FrameParser::Frame&) override { return absl::OkStatus(); }
  absl::Status OnMessage(const FrameParser::Frame& frame) override {
    APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::MasterCall>(frame));
    absl::StatusOr<v1::MasterAnswer> answer = play_(call);
    if (!answer.ok()) {
      link_->Close();
      return absl::OkStatus();
    }
    if (answer->answer_case() == v1::MasterAnswer::ANSWER_NOT_SET && !answer->has_error())
      return absl::OkStatus();  // silence
    answer->set_id(call.id());
    replies().AddAlone([&](auto& parcel) { parcel.header = *std::move(answer); });
    return absl::OkStatus();
  }
  void OnEnded() override {}

  const std::shared_ptr<FrameLink> link_;
  Play& play_;
};

// A master on the loopback; `play` runs on its link's thread, until Stop.
class PlayedMaster {
 public:
  explicit PlayedMaster(Play play) : play_(std::move(play)) {}
  std::string address() const { return server_->address(); }
  void Stop() { server_.reset(); }

 private:
  Play play_;
  std::unique_ptr<LinkServer> server_ = std::make_unique<LinkServer>(
      [this](const auto& link) { return std::make_shared<PlayedStream>(link, play_); });
};

constexpr char kNobody[] = "127.0.0.1:1";

v1::MasterAnswer Renamed(uint64_t inode) {
  v1::MasterAnswer answer;
  answer.mutable_rename()->set_inode(inode);
  return answer;
}

v1::RenameRequest Request() {
  v1::RenameRequest request;
  request.mutable_mutation()->set_client_id(3);
  request.mutable_mutation()->set_sequence(4);
  request.set_name("from");
  return request;
}

class MasterClientTest : public ::testing::Test {
 protected:
  Duration In(Duration time) { return clock_.Monotonic() + time; }
  std::unique_ptr<MasterClient> To(std::string addresses) {
    return MasterClient::Create(std::move(addresses), *timers_, clock_);
  }

  const SystemClock clock_{};
  std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
};

TEST_F(MasterClientTest, Call_IsAnswered) {
  PlayedMaster master(
      [](const v1::MasterCall& call) { return Renamed(call.rename().name().size()); });
  absl::StatusOr<v1::RenameResponse> renamed =
      To(master.address())->Call(Request(), In(seconds(30)));
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_EQ(renamed->inode(), 4u);
}

TEST_F(MasterClientTest, Refusal_IsNotTriedAgain) {
  int calls = 0;
  PlayedMaster master([&](const v1::MasterCall&) {
    ++calls;
    v1::MasterAnswer answer;
    *answer.mutable_error() = ToProto(MakeError(v1::NO_ENTRY, "no 'from'"));
    return answer;
  });
  EXPECT_TRUE(
      HasReason(To(master.address())->Call(Request(), In(seconds(30))).status(), v1::NO_ENTRY));
  master.Stop();
  EXPECT_EQ(calls, 1);
}

class CountingWatcher final : public MasterClient::Watcher {
 public:
  void OnChanged(const std::vector<InodeId>&, absl::AnyInvocable<void() &&> heard) override {
    std::move(heard)();
  }
  void OnRefused() override { ++refused; }
  void OnLost() override {
    absl::MutexLock lock(&mutex_);
    lost_ = true;
  }
  bool lost() const {
    absl::MutexLock lock(&mutex_);
    return lost_;
  }
  // Waits, with a bound.
  bool IsLost() const {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&lost_), absl::Seconds(30));
  }
  std::atomic<int> refused = 0;

 private:
  mutable absl::Mutex mutex_;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
};

// It is the answer to the first attempt, and what it tells may have changed since.
TEST_F(MasterClientTest, RepeatedCall_WhatItAnswersIsNotToBeKept) {
  int calls = 0;
  PlayedMaster master([&](const v1::MasterCall&) {
    v1::MasterAnswer answer = Renamed(7);
    if (++calls == 1) *answer.mutable_error() = ToProto(MakeError(v1::NOT_READY, "starting"));
    answer.set_watched_ms(1000);
    return answer;
  });
  CountingWatcher watcher;
  std::unique_ptr<MasterClient> client = To(master.address());
  client->Watch(watcher);
  EXPECT_TRUE(client->Call(Request(), In(seconds(30))).ok());
  EXPECT_GE(watcher.refused, 1);
  client->Stop();
}

// A change that is made after its caller gave up: nobody else tells of it.
TEST_F(MasterClientTest, AnswerThatNobodyWaitsFor_DropsWhatWasKept) {
  absl::Notification given_up;
  PlayedMaster master([&](const v1::MasterCall&) {
    given_up.WaitForNotification();
    v1::MasterAnswer answer = Renamed(7);
    answer.set_watched_ms(1000);
    return answer;
  });
  CountingWatcher watcher;
  std::unique_ptr<MasterClient> client = To(master.address());
  client->Watch(watcher);
  EXPECT_TRUE(HasReason(client->Call(Request(), In(milliseconds(20))).status(), v1::TIMED_OUT));
  given_up.Notify();
  EXPECT_TRUE(watcher.IsLost());
  client->Stop();
}

// The same, where a signal ended the wait.
TEST_F(MasterClientTest, AnswerToAnInterruptedCall_DropsWhatWasKept) {
  absl::Notification asked, given_up;
  PlayedMaster master([&](const v1::MasterCall&) {
    asked.Notify();
    given_up.WaitForNotification();
    v1::MasterAnswer answer = Renamed(7);
    answer.set_watched_ms(1000);
    return answer;
  });
  CountingWatcher watcher;
  std::unique_ptr<MasterClient> client = To(master.address());
  client->Watch(watcher);
  Interruption interruption;
  std::thread caller([&] {
    InterruptionScope scope(&interruption);
    EXPECT_TRUE(HasReason(client->Call(Request(), In(seconds(30))).status(), v1::IN_DOUBT));
  });
  asked.WaitForNotification();
  interruption.Fire(MakeError(v1::INTERRUPTED, "a signal"));
  caller.join();
  EXPECT_FALSE(watcher.lost());
  given_up.Notify();
  EXPECT_TRUE(watcher.IsLost());
  client->Stop();
}

TEST_F(MasterClientTest, LostAnswer_TheSameBytesAreSentAgain) {
  std::vector<std::string> asked;
  PlayedMaster master([&](const v1::MasterCall& call) -> absl::StatusOr<v1::MasterAnswer> {
    asked.push_back(call.rename().SerializeAsString());
    if (asked.size() < 3) return absl::UnavailableError("breaks");
    return Renamed(5);
  });
  absl::StatusOr<v1::RenameResponse> renamed =
      To(master.address())->Call(Request(), In(seconds(30)));
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  master.Stop();
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[0], Request().SerializeAsString());
  EXPECT_EQ(asked[0], asked[2]);
}

TEST_F(MasterClientTest, StartingMaster_IsAskedAgain) {
  int calls = 0;
  PlayedMaster master([&](const v1::MasterCall&) {
    if (++calls == 2) return Renamed(5);
    v1::MasterAnswer answer;
    *answer.mutable_error() = ToProto(MakeError(v1::NOT_READY, "starting"));
    return answer;
  });
  EXPECT_TRUE(To(master.address())->Call(Request(), In(seconds(30))).ok());
  master.Stop();
  EXPECT_EQ(calls, 2);
}

TEST_F(MasterClientTest, DeadAddress_TheNextOneIsTried) {
  PlayedMaster master([](const v1::MasterCall&) { return Renamed(5); });
  std::unique_ptr<MasterClient> client = To(StrCat(kNobody, ", ", master.address()));
  EXPECT_TRUE(client->Call(Request(), In(seconds(30))).ok());
}

TEST_F(MasterClientTest, NobodyThere_IsUnreachable_AndNamed) {
  absl::Status status = To(kNobody)->Call(Request(), In(milliseconds(50))).status();
  EXPECT_TRUE(HasReason(status, v1::UNREACHABLE)) << status;
  EXPECT_EQ(std::string(status.message()).rfind(StrCat("master ", kNobody), 0), 0u) << status;
}

TEST_F(MasterClientTest, Silence_TimesOut_AndIsNamed) {
  PlayedMaster master([](const v1::MasterCall&) { return v1::MasterAnswer(); });
  absl::Status status = To(master.address())->Call(Request(), In(milliseconds(100))).status();
  EXPECT_TRUE(HasReason(status, v1::TIMED_OUT)) << status;
  EXPECT_EQ(std::string(status.message()).rfind(StrCat("master ", master.address()), 0), 0u);
}

TEST_F(MasterClientTest, OpenTail_IsToldHowLongToWait) {
  absl::Mutex mutex;
  uint32_t patience_ms = 0;
  PlayedMaster master([&](const v1::MasterCall& call) {
    absl::MutexLock lock(&mutex);
    patience_ms = call.patience_ms();
    v1::MasterAnswer answer;
    answer.mutable_open_tail()->mutable_tail()->set_handle(9);
    return answer;
  });
  std::unique_ptr<MasterClient> client = To(master.address());
  uint64_t handle = 0;
  bool answered = false;
  client->OpenTail(v1::OpenTailRequest(), In(seconds(1000)), [&](absl::StatusOr<v1::Chunk> tail) {
    absl::MutexLock lock(&mutex);
    if (tail.ok()) handle = tail->handle();
    answered = true;
  });
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(&answered));
  EXPECT_EQ(handle, 9u);
  EXPECT_GT(patience_ms, 500'000u);
  EXPECT_LE(patience_ms, 1'000'000u);
}

TEST_F(MasterClientTest, Stop_EndsWhatWaits_AndWhatComesLater) {
  PlayedMaster master([](const v1::MasterCall&) { return v1::MasterAnswer(); });
  std::unique_ptr<MasterClient> client = To(master.address());
  std::vector<absl::Status> ended;
  auto note = [&](const absl::StatusOr<v1::Chunk>& tail) { ended.push_back(tail.status()); };
  client->OpenTail(v1::OpenTailRequest(), In(seconds(1000)), note);
  client->Stop();
  client->OpenTail(v1::OpenTailRequest(), In(seconds(1000)), note);
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_TRUE(HasReason(ended[0], v1::UNREACHABLE));
  EXPECT_TRUE(HasReason(ended[1], v1::UNREACHABLE));
}

}  // namespace
}  // namespace appendfs
