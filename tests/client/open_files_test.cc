#include "client/open_files.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"

namespace appendfs {
namespace {

// A File that only tells when it has gone.
class FakeFile final : public File {
 public:
  FakeFile(std::shared_ptr<FileState> state, OpenFiles& files)
      : state_(std::move(state)), files_(files) {}
  ~FakeFile() override { files_.OnFileGone(state_->inode); }
  InodeId inode() const override { return state_->inode; }
  void AppendAsync(std::string_view, Appended) override {}
  void AppendAtAsync(FileOffset, std::string_view, Appended) override {}
  void FlushAsync(absl::AnyInvocable<void() &&>) override {}
  absl::StatusOr<FileOffset> Append(std::string_view) override { return FileOffset(); }
  absl::Status Flush() override { return absl::OkStatus(); }
  uint64_t max_record_bytes() const override { return 1; }
  uint64_t queued_bytes() const override { return 0; }
  bool in_doubt() const override { return false; }
  absl::Status AwaitRoom(uint64_t) override { return absl::OkStatus(); }
  absl::StatusOr<Buffer> Read(FileOffset, uint64_t) override { return Buffer(); }
  absl::StatusOr<uint64_t> Size() override { return 0; }
  absl::StatusOr<FileStatus> Stat() override { return FileStatus(); }

 private:
  const std::shared_ptr<FileState> state_;
  OpenFiles& files_;
};

// The executor's work runs when the test says so.
class ManualExecutor final : public Executor {
 public:
  void Post(absl::AnyInvocable<void() &&> work) override { work_.push_back(std::move(work)); }
  void PostAfter(Duration, absl::AnyInvocable<void() &&> work) override {
    work_.push_back(std::move(work));
  }
  void RunAll() {
    for (auto& work : std::exchange(work_, {})) std::move(work)();
  }

 private:
  std::vector<absl::AnyInvocable<void() &&>> work_;
};

class OpenFilesTest : public testing::Test {
 protected:
  OpenFilesTest() {
    OpenFiles::Hooks hooks;
    hooks.open = [this](InodeId inode) -> absl::StatusOr<v1::FilePlan> {
      log_ += "open " + std::to_string(inode.value()) + ";";
      if (!open_error_.ok()) return open_error_;
      return v1::FilePlan();
    };
    hooks.release = [this](const std::vector<InodeId>& inodes) {
      for (InodeId inode : inodes) log_ += "release " + std::to_string(inode.value()) + ";";
      if (on_release_) on_release_();
      return std::exchange(release_error_, absl::OkStatus());
    };
    hooks.make_state = [](InodeId inode, const v1::FilePlan*) {
      auto state = std::make_shared<FileState>();
      state->inode = inode;
      return state;
    };
    hooks.when_idle = [](FileState&, absl::AnyInvocable<void() &&> done) { std::move(done)(); };
    hooks.make_file = [this](std::shared_ptr<FileState> state) {
      return std::make_shared<FakeFile>(std::move(state), *files_);
    };
    files_ = std::make_unique<OpenFiles>(std::move(hooks), executor_);
  }
  std::shared_ptr<File> Open(uint64_t inode, bool registered = false) {
    auto file = files_->Open(InodeId(inode), registered);
    return file.ok() ? *file : nullptr;
  }

  ManualExecutor executor_;
  std::string log_;
  absl::Status open_error_, release_error_;
  std::function<void()> on_release_;
  std::unique_ptr<OpenFiles> files_;
};

TEST_F(OpenFilesTest, TwoUsers_ShareOneFileAndOneRegistration) {
  auto first = Open(5), second = Open(5);
  EXPECT_EQ(first, second);
  EXPECT_EQ(log_, "open 5;");
  first.reset();
  executor_.RunAll();
  second.reset();
  executor_.RunAll();
  EXPECT_EQ(log_, "open 5;release 5;");
  EXPECT_TRUE(files_->Registered().empty());
}

TEST_F(OpenFilesTest, OpenedAgainBeforeTheRelease_StaysRegistered) {
  Open(5).reset();
  auto again = Open(5);
  executor_.RunAll();
  EXPECT_EQ(log_, "open 5;");
  EXPECT_EQ(files_->Registered().size(), 1u);
}

TEST_F(OpenFilesTest, RefusedOpen_LeavesNothing) {
  open_error_ = MakeError(v1::NO_ENTRY, "gone");
  EXPECT_EQ(Open(5), nullptr);
  EXPECT_TRUE(files_->Registered().empty());
}

TEST_F(OpenFilesTest, MasterAway_ReleaseIsTriedAgain) {
  Open(5).reset();
  release_error_ = MakeError(v1::UNREACHABLE, "away");
  executor_.RunAll();
  executor_.RunAll();
  EXPECT_EQ(log_, "open 5;release 5;release 5;");
  EXPECT_TRUE(files_->Registered().empty());
}

TEST_F(OpenFilesTest, RegisteredByCreation_WaitsForItsOpen) {
  files_->BeginRegistering();
  files_->EndRegistering(InodeId(9));
  executor_.RunAll();
  EXPECT_EQ(files_->Registered().size(), 1u);
  auto file = Open(9, /*registered=*/true);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(log_, "") << "it is registered already";
  file.reset();
  executor_.RunAll();
  EXPECT_EQ(log_, "release 9;");
}

TEST_F(OpenFilesTest, WhileSomethingIsBeingRegistered_NothingIsReleased) {
  Open(5).reset();
  files_->BeginRegistering();
  executor_.RunAll();
  EXPECT_EQ(log_, "open 5;");
  files_->EndRegistering(InodeId(5));  // the creation found the file that was just closed
  executor_.RunAll();
  EXPECT_EQ(log_, "open 5;");
  EXPECT_EQ(files_->Registered().size(), 1u);
}

TEST_F(OpenFilesTest, OpenDuringARelease_ComesAfterIt) {
  Open(5).reset();
  std::thread opener;
  absl::Notification started;
  std::shared_ptr<File> again;
  on_release_ = [&] {
    opener = std::thread([&] {
      started.Notify();
      again = Open(5);
    });
    started.WaitForNotification();
  };
  executor_.RunAll();
  opener.join();
  EXPECT_NE(again, nullptr);
  EXPECT_EQ(log_, "open 5;release 5;open 5;");
}

}  // namespace
}  // namespace appendfs
