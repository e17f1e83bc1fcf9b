#include "fuse/lending.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/fuse/fake_client.h"

namespace appendfs::fuse {
namespace {

using std::chrono::milliseconds;

constexpr InodeId kDirectory(2), kFile(10), kOther(11);

class LendingClient final : public FakeClient {
 public:
  bool Lends() const override { return true; }
  std::chrono::nanoseconds LendStatus(uint64_t ticket, InodeId) const override {
    return milliseconds(ticket);
  }
  std::chrono::nanoseconds LendName(uint64_t ticket, InodeId, std::string_view,
                                    InodeId) const override {
    return milliseconds(ticket);
  }
};

// What the kernel was told to forget, in its order.
class LendingTest : public ::testing::Test {
 protected:
  LendingTest() {
    lending_->Start({.forget_attributes =
                         [this](uint64_t node) {
                           absl::MutexLock lock(&mutex_);
                           if (missing_ > 0 && missing_-- > 0) return -ENOENT;
                           forgotten_.push_back(std::to_string(node));
                           return 0;
                         },
                     .forget_name =
                         [this](uint64_t parent, const std::string& name) {
                           absl::MutexLock lock(&mutex_);
                           mutex_.Await(absl::Condition(
                               +[](bool* locked) { return !*locked; }, &directory_is_locked_));
                           forgotten_.push_back(std::to_string(parent) + "/" + name);
                           return 0;
                         }});
    lending_->LendNames();
  }
  std::vector<std::string> Forgotten() {
    absl::MutexLock lock(&mutex_);
    return forgotten_;
  }
  void Change(const std::vector<InodeId>& inodes) {
    absl::Notification taken_back;
    lending_->OnChanged(inodes, [&] { taken_back.Notify(); });
    taken_back.WaitForNotification();
  }
  void LockDirectory(bool locked) {
    absl::MutexLock lock(&mutex_);
    directory_is_locked_ = locked;
  }

  LendingClient client_;
  InodeMap inodes_{kRootInode};
  absl::Mutex mutex_;
  std::vector<std::string> forgotten_ ABSL_GUARDED_BY(mutex_);
  int missing_ ABSL_GUARDED_BY(mutex_) = 0;
  bool directory_is_locked_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Lending> lending_ = std::make_unique<Lending>(client_, inodes_);
};

TEST_F(LendingTest, WhatWasLent_IsTakenBackBeforeTheChangeIsAnswered) {
  {
    Lending::Loan loan(*lending_);
    EXPECT_EQ(loan.Attributes(500, kFile), 0.5);
    EXPECT_EQ(loan.Name(500, kDirectory, "f", kFile), 0.5);
  }
  Change({kFile});
  EXPECT_EQ(Forgotten(), (std::vector<std::string>{"10"}));
  Change({kDirectory});
  EXPECT_EQ(Forgotten(), (std::vector<std::string>{"10", "2/f"}));
  Change({kFile, kDirectory});  // nothing is lent any more
  EXPECT_EQ(Forgotten().size(), 2u);
}

TEST_F(LendingTest, WhatWasNotLent_IsNotAskedBack) {
  {
    Lending::Loan loan(*lending_);
    EXPECT_EQ(loan.Attributes(0, kFile), 0);
    EXPECT_EQ(loan.Name(0, kDirectory, "f", kFile), 0);
  }
  Change({kFile, kDirectory});
  EXPECT_TRUE(Forgotten().empty());
}

TEST_F(LendingTest, AnswerOnItsWayToTheKernel_IsWaitedFor) {
  auto loan = std::make_unique<Lending::Loan>(*lending_);
  absl::Notification taken_back;
  lending_->OnChanged({kFile}, [&] { taken_back.Notify(); });
  EXPECT_EQ(loan->Attributes(500, kFile), 0.5);
  EXPECT_FALSE(taken_back.HasBeenNotified());
  loan.reset();
  taken_back.WaitForNotification();
  EXPECT_EQ(Forgotten(), (std::vector<std::string>{"10"}));
}

TEST_F(LendingTest, NewInodeThatTheKernelHasYetToRead_IsTakenBackAll) {
  inodes_.AddLookups(kFile);
  { EXPECT_EQ(Lending::Loan(*lending_).Attributes(500, kFile), 0.5); }
  {
    absl::MutexLock lock(&mutex_);
    missing_ = 3;
  }
  Change({kFile});
  EXPECT_EQ(Forgotten(), (std::vector<std::string>{"10"}));
}

TEST_F(LendingTest, LockedDirectory_HoldsNobodyUpWhileThisMountChangesSomething) {
  { EXPECT_EQ(Lending::Loan(*lending_).Name(500, kDirectory, "f", kFile), 0.5); }
  { EXPECT_EQ(Lending::Loan(*lending_).Attributes(500, kOther), 0.5); }
  LockDirectory(true);
  absl::Notification taken_back;
  lending_->OnChanged({kDirectory}, [&] { taken_back.Notify(); });
  EXPECT_FALSE(
      taken_back.WaitForNotificationWithTimeout(3 * absl::FromChrono(Lending::kNamesBound)));
  const Lending::OwnChange own(*lending_);
  taken_back.WaitForNotification();
  Change({kOther});
  EXPECT_EQ(Forgotten(), (std::vector<std::string>{"11"}));
  LockDirectory(false);
  Change({kDirectory});
  EXPECT_EQ(Forgotten().size(), 2u);
}

TEST_F(LendingTest, LostMaster_EverythingIsTakenBack) {
  {
    Lending::Loan loan(*lending_);
    loan.Attributes(500, kFile);
    loan.Name(500, kDirectory, "f", kFile);
  }
  lending_->OnLost();
  Change({kOther});
  Change({kOther});
  EXPECT_EQ(Forgotten(), (std::vector<std::string>{"10", "2/f"}));
}

}  // namespace
}  // namespace appendfs::fuse
