#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/executor.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

constexpr absl::Duration kPatience = absl::Seconds(20);

TEST(ThreadExecutor, Post_FromOneThread_KeepsOrder) {
  auto executor = MakeThreadExecutor("test");
  std::vector<int> seen;  // by the executor's thread until `done`
  absl::Notification done;
  for (int i = 0; i < 1000; ++i) executor->Post([&seen, i] { seen.push_back(i); });
  executor->Post([&] { done.Notify(); });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[i], i);
}

TEST(ThreadExecutor, Post_FromManyThreads_RunsEachOnce) {
  auto executor = MakeThreadExecutor("test");
  constexpr int kThreads = 4, kEach = 500;
  absl::BlockingCounter left(kThreads * kEach);
  std::vector<std::thread> threads;
  int ran = 0;  // by the executor's thread
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i)
        executor->Post([&] {
          ++ran;
          left.DecrementCount();
        });
    });
  for (auto& thread : threads) thread.join();
  left.Wait();
  EXPECT_EQ(ran, kThreads * kEach);
}

TEST(ThreadExecutor, PostAfter_RunsInOrderOfTime_NotBeforeIt) {
  auto executor = MakeThreadExecutor("test");
  SystemClock clock;
  std::vector<int> seen;
  absl::Notification done;
  const Duration start = clock.Monotonic();
  Duration first{}, last{};
  executor->PostAfter(milliseconds(60), [&] {
    seen.push_back(3);
    last = clock.Monotonic();
    done.Notify();
  });
  executor->PostAfter(milliseconds(20), [&] {
    seen.push_back(2);
    first = clock.Monotonic();
  });
  executor->Post([&] { seen.push_back(1); });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(first - start, milliseconds(20));
  EXPECT_GE(last - start, milliseconds(60));
}

TEST(ThreadExecutor, PostAfter_EarlierThanTheOneWaitedFor_IsNotDelayed) {
  auto executor = MakeThreadExecutor("test");
  absl::Notification done;
  executor->PostAfter(std::chrono::hours(1), [] {});
  executor->PostAfter(milliseconds(1), [&] { done.Notify(); });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
}

TEST(ThreadExecutor, Work_MayPostMore) {
  auto executor = MakeThreadExecutor("test");
  absl::Notification done;
  executor->Post([&] { executor->Post([&] { executor->PostAfter({}, [&] { done.Notify(); }); }); });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
}

TEST(ThreadExecutor, Destruction_DropsWhatHasNotStarted) {
  auto owner = std::make_shared<int>(0);
  std::weak_ptr<int> watch = owner;
  bool ran = false;
  auto executor = MakeThreadExecutor("test");
  executor->PostAfter(std::chrono::hours(1), [&ran, owner = std::move(owner)] { ran = true; });
  executor.reset();
  EXPECT_FALSE(ran);
  EXPECT_TRUE(watch.expired());
}

TEST(ThreadExecutor, Destruction_WaitsForWhatRuns) {
  auto executor = MakeThreadExecutor("test");
  absl::Notification started, release;
  bool finished = false;
  executor->Post([&] {
    started.Notify();
    release.WaitForNotification();
    finished = true;
  });
  ASSERT_TRUE(started.WaitForNotificationWithTimeout(kPatience));
  std::thread helper([&] { release.Notify(); });
  executor.reset();
  EXPECT_TRUE(finished);
  helper.join();
}

}  // namespace
}  // namespace appendfs
