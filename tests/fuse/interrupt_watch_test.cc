#include "fuse/interrupt_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace appendfs::fuse {
namespace {

std::atomic<CallerWish> wish;
std::atomic<int> asked;
CallerWish Ask(pid_t) {
  ++asked;
  return wish;
}

class InterruptWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    asked = 0;
    call_->interruption.Add([fired = fired_] { fired->Notify(); });
  }
  bool Fired() { return fired_->WaitForNotificationWithTimeout(absl::Seconds(30)); }
  static void AwaitLooks(int count) {
    while (asked < count) std::this_thread::yield();
  }

  std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
  std::shared_ptr<Call> call_ = calls_->Begin(CallKind::kWrite, InodeId(5), 1);
  std::shared_ptr<absl::Notification> fired_ = std::make_shared<absl::Notification>();
};

TEST_F(InterruptWatchTest, CallerKilled_IsLetGo) {
  wish = CallerWish::kNoLonger;
  InterruptWatch watch(Ask);
  watch.Note(call_);
  EXPECT_TRUE(Fired());
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(HasReason(call_->interruption.status(), v1::INTERRUPTED));
}

TEST_F(InterruptWatchTest, RuntimesSignal_WaitsOnUntilOneIsMeant) {
  wish = CallerWish::kWaits;
  InterruptWatch watch(Ask);
  watch.Note(call_);
  AwaitLooks(5);
  EXPECT_FALSE(call_->interruption.fired());
  wish = CallerWish::kNoLonger;  // the kernel does not say so a second time
  EXPECT_TRUE(Fired());
}

TEST_F(InterruptWatchTest, SignalThatIsMeant_EndsItAfterAGrace) {
  wish = CallerWish::kAsked;
  const Duration begun = calls_->Now();
  InterruptWatch watch(Ask);
  watch.Note(call_);
  EXPECT_TRUE(Fired());
  EXPECT_GE(calls_->Now() - begun, InterruptWatch::kGrace);
}

TEST_F(InterruptWatchTest, CallerThatCannotBeSeen_CountsAsMeant) {
  wish = CallerWish::kUnknown;
  InterruptWatch watch(Ask);
  watch.Note(call_);
  EXPECT_TRUE(Fired());
}

TEST_F(InterruptWatchTest, AnsweredMeanwhile_IsForgotten) {
  wish = CallerWish::kWaits;
  InterruptWatch watch(Ask);
  watch.Note(call_);
  AwaitLooks(1);
  const uint64_t id = call_->id;
  call_.reset();
  while (calls_->Find(id) != nullptr) std::this_thread::yield();
  EXPECT_FALSE(fired_->HasBeenNotified());
}

TEST(CallerTest, OwnThread_WaitsUnlessASignalIsMeant) {
  EXPECT_EQ(AskCaller(gettid()), CallerWish::kWaits);
  EXPECT_FALSE(DiesOfSignal(gettid()));
  EXPECT_EQ(AskCaller(0), CallerWish::kUnknown);
  EXPECT_FALSE(DiesOfSignal(0));
}

TEST(CallerTest, BlockedSignal_IsNotMeant) {
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  pthread_kill(pthread_self(), SIGUSR2);
  EXPECT_EQ(AskCaller(gettid()), CallerWish::kWaits);
  int taken = 0;
  sigwait(&set, &taken);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace appendfs::fuse
