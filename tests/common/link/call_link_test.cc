#include "common/link/call_link.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/protocol.h"
#include "tests/common/link/link_server.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Answers reads with their offset; keeps silent about those of length 0, and
// closes at those of handle 13. Knows one cluster.
class Answering final : public FrameLink::Owner {
 public:
  explicit Answering(std::shared_ptr<FrameLink> link) : link_(std::move(link)) {}
  absl::Status OnFrame(const FrameParser::Frame& frame) override {
    APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::DataCall>(frame));
    v1::DataAnswer answer;
    if (call.has_hello()) {
      if (call.hello().cluster_uuid() == "ours")
        *answer.mutable_version() = OurProtocol();
      else
        *answer.mutable_refusal() = ToProto(MakeError(v1::WRONG_CLUSTER, "not mine"));
    } else {
      if (call.read().handle() == 13) return MakeError(v1::INVALID, "unlucky");
      if (call.read().length() == 0) return absl::OkStatus();
      answer.set_id(call.id());
      answer.mutable_read()->set_committed_length(call.read().offset());
    }
    link_->Write(answer, {});
    return absl::OkStatus();
  }
  void OnWritten() override {}
  void OnClosed(const absl::Status&) override {}

 private:
  const std::shared_ptr<FrameLink> link_;
};

class CallLinkTest : public testing::Test {
 protected:
  static v1::DataCall Read(uint64_t handle, uint64_t offset, uint32_t length) {
    v1::DataCall call;
    call.mutable_read()->set_handle(handle);
    call.mutable_read()->set_offset(offset);
    call.mutable_read()->set_length(length);
    return call;
  }
  absl::StatusOr<uint64_t> Call(const std::string& cluster, v1::DataCall call, Duration patience) {
    absl::Notification answered;
    absl::StatusOr<uint64_t> length;
    links_.To(server_->address(), cluster)
        ->Call(std::move(call), clock_.Monotonic() + patience,
               [&](absl::StatusOr<CallLink::Answer> answer) {
                 if (answer.ok())
                   length = answer->header.read().committed_length();
                 else
                   length = answer.status();
                 answered.Notify();
               });
    answered.WaitForNotification();
    return length;
  }

  std::unique_ptr<LinkServer> server_ = std::make_unique<LinkServer>(
      [](const auto& link) { return std::make_shared<Answering>(link); });
  SystemClock clock_;
  std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
  IoThreads threads_{"client"};
  CallLinks links_{threads_, *timers_, clock_};
};

TEST_F(CallLinkTest, Call_IsAnswered) {
  EXPECT_EQ(*Call("ours", Read(1, 77, 1), seconds(20)), 77u);
  EXPECT_EQ(*Call("ours", Read(1, 78, 1), seconds(20)), 78u);
}

TEST_F(CallLinkTest, NoAnswer_TimesOut_AndOthersGoOn) {
  EXPECT_EQ(ReasonOf(Call("ours", Read(1, 77, 0), milliseconds(30)).status()), v1::TIMED_OUT);
  EXPECT_EQ(*Call("ours", Read(1, 78, 1), seconds(20)), 78u);
}

TEST_F(CallLinkTest, BrokenLink_EndsItsCalls_AndIsMadeAgain) {
  EXPECT_EQ(ReasonOf(Call("ours", Read(13, 0, 1), seconds(20)).status()), v1::UNREACHABLE);
  EXPECT_EQ(*Call("ours", Read(1, 5, 1), seconds(20)), 5u);
}

TEST_F(CallLinkTest, Refusal_IsTheAnswer) {
  EXPECT_EQ(ReasonOf(Call("theirs", Read(1, 5, 1), seconds(20)).status()), v1::WRONG_CLUSTER);
}

TEST_F(CallLinkTest, CallsWithEarlierDeadlines_LeaveOneTimer) {
  struct KeptTimers final : Executor {
    void Post(absl::AnyInvocable<void() &&> work) override { kept.push_back(std::move(work)); }
    void PostAfter(Duration, absl::AnyInvocable<void() &&> work) override { Post(std::move(work)); }
    std::vector<absl::AnyInvocable<void() &&>> kept;
  } timers;
  CallLinks links(threads_, timers, clock_);
  for (int minutes : {40, 30, 20})
    links.To(server_->address(), "ours")
        ->Call(Read(1, 77, 0), clock_.Monotonic() + std::chrono::minutes(minutes),
               [](const absl::StatusOr<CallLink::Answer>&) {});
  for (int round = 0; round < 3; ++round)
    for (auto& timer : std::exchange(timers.kept, {})) std::move(timer)();
  EXPECT_EQ(timers.kept.size(), 1u);
}

TEST_F(CallLinkTest, Stopped_EverythingIsUnreachable) {
  links_.Stop();
  EXPECT_EQ(ReasonOf(Call("ours", Read(1, 5, 1), seconds(20)).status()), v1::UNREACHABLE);
}

}  // namespace
}  // namespace appendfs
