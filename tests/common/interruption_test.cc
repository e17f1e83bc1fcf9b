#include "common/interruption.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"

namespace appendfs {
namespace {

const absl::Status kWhy = MakeError(v1::INTERRUPTED, "enough");
constexpr Duration kLong = std::chrono::minutes(5);

// Fires `interruption` from another thread once this one is about to wait.
class FiringSoon {
 public:
  explicit FiringSoon(Interruption& interruption)
      : thread_([&interruption] {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          interruption.Fire(kWhy);
        }) {}
  ~FiringSoon() { thread_.join(); }

 private:
  std::thread thread_;
};

TEST(InterruptionTest, NoneOnThread_WaitsAreOrdinary) {
  EXPECT_EQ(Interruption::OfThisThread(), nullptr);
  EXPECT_TRUE(InterruptionStatus().ok());
  EXPECT_TRUE(SleepUnlessInterrupted(std::chrono::milliseconds(1)));
  absl::Mutex mutex;
  absl::MutexLock lock(&mutex);
  bool never = false;
  EXPECT_FALSE(
      AwaitUnlessInterrupted(mutex, absl::Condition(&never), std::chrono::milliseconds(1)));
}

TEST(InterruptionTest, Fired_SleepEnds) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  FiringSoon soon(interruption);
  EXPECT_FALSE(SleepUnlessInterrupted(kLong));
  EXPECT_EQ(InterruptionStatus(), kWhy);
}

TEST(InterruptionTest, Fired_AwaitEndsAndHoldsTheMutex) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  absl::Mutex mutex;
  bool never = false;
  FiringSoon soon(interruption);
  absl::MutexLock lock(&mutex);
  EXPECT_FALSE(AwaitUnlessInterrupted(mutex, absl::Condition(&never), kLong));
  mutex.AssertHeld();
  EXPECT_FALSE(AwaitUnlessInterrupted(mutex, absl::Condition(&never), kLong));
}

TEST(InterruptionTest, ConditionTrue_AwaitDoesNotLookAtTheInterruption) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  interruption.Fire(kWhy);
  absl::Mutex mutex;
  bool now = true;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(AwaitUnlessInterrupted(mutex, absl::Condition(&now), kLong));
}

TEST(InterruptionTest, Fired_PendingAnswerEndsAndLateOneIsDropped) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  auto answer = std::make_shared<PendingAnswer<int>>();
  {
    FiringSoon soon(interruption);
    EXPECT_EQ(answer->Take().status(), kWhy);
  }
  EXPECT_FALSE(answer->Set(7));
  EXPECT_EQ(answer->Take().status(), kWhy);
}

TEST(InterruptionTest, Fired_PendingAnswerThatIsThereIsTaken) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  auto answer = std::make_shared<PendingAnswer<int>>();
  EXPECT_TRUE(answer->Set(7));
  interruption.Fire(kWhy);
  EXPECT_EQ(*answer->Take(), 7);
}

TEST(InterruptionTest, Answered_PendingAnswerIsTheFirst) {
  auto answer = std::make_shared<PendingAnswer<int>>();
  std::thread other([answer] {
    EXPECT_TRUE(answer->Set(1));
    EXPECT_TRUE(answer->Set(2));
  });
  EXPECT_EQ(*answer->Take(), 1);
  other.join();
}

TEST(InterruptionTest, Actions_RunOnceAndNotAfterRemoval) {
  Interruption interruption;
  int kept = 0, removed = 0, late = 0;
  interruption.Add([&] { ++kept; });
  interruption.Remove(interruption.Add([&] { ++removed; }));
  interruption.Fire(kWhy);
  interruption.Fire(MakeError(v1::TIMED_OUT, "later"));
  interruption.Add([&] { ++late; });
  EXPECT_EQ(interruption.AddUnlessFired([&] { ++late; }), 0u);
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(removed, 0);
  EXPECT_EQ(late, 1);
  EXPECT_EQ(interruption.status(), kWhy);
}

TEST(InterruptionTest, Unattended_EndsWaitsButNothingHandedOn) {
  Interruption interruption;
  InterruptionScope scope(&interruption);
  EXPECT_EQ(Interruption::OfWorkHandedOn(), &interruption);
  {
    UnattendedScope unattended;
    EXPECT_EQ(Interruption::OfWorkHandedOn(), nullptr);
    interruption.Fire(kWhy);
    EXPECT_FALSE(SleepUnlessInterrupted(kLong));
  }
  EXPECT_EQ(Interruption::OfWorkHandedOn(), &interruption);
}

TEST(InterruptionTest, Scope_EndsWithItsBlock) {
  Interruption outer, inner;
  InterruptionScope scope(&outer);
  {
    InterruptionScope nested(&inner);
    EXPECT_EQ(Interruption::OfThisThread(), &inner);
    InterruptionScope none(nullptr);
    EXPECT_EQ(Interruption::OfThisThread(), nullptr);
  }
  EXPECT_EQ(Interruption::OfThisThread(), &outer);
}

}  // namespace
}  // namespace appendfs
