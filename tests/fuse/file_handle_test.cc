#include "fuse/file_handle.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/interruption.h"
#include "tests/fuse/fake_client.h"

namespace appendfs::fuse {
namespace {

class FileHandleTest : public testing::Test {
 protected:
  FileHandle Open(WriteAccess access) {
    return FileHandle(*client_.OpenInode(inode_, false), access);
  }

  absl::StatusOr<size_t> Write(FileHandle& handle, uint64_t offset, std::string_view bytes,
                               FileHandle::WriteMode mode = {}) {
    absl::StatusOr<size_t> result;
    absl::Notification done;
    handle.Write(offset, bytes, mode, [&](absl::StatusOr<size_t> written) {
      result = std::move(written);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  absl::Status Sync(FileHandle& handle) { return Await(handle, &FileHandle::Sync); }
  absl::Status Close(FileHandle& handle) { return Await(handle, &FileHandle::Close); }

  std::string Content() { return client_.Content(inode_); }
  static absl::Status DiskFull() { return MakeError(v1::NO_SPACE, "full"); }

  static constexpr FileHandle::WriteMode kAppend = {.append = true};

  FakeClient client_;
  const InodeId inode_ = client_.MakeNode(kRootInode, "a", {})->status.inode;

 private:
  static absl::Status Await(FileHandle& handle, void (FileHandle::*call)(FileHandle::Done)) {
    absl::Status result;
    absl::Notification done;
    (handle.*call)([&](absl::Status status) {
      result = std::move(status);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
};

TEST_F(FileHandleTest, AppendMode_IgnoresTheOffset) {
  client_.AppendElsewhere(inode_, "xyz");
  FileHandle handle = Open(WriteAccess::kAppend);
  EXPECT_EQ(*Write(handle, 0, "abc", kAppend), 3u);
  EXPECT_EQ(*Write(handle, 99, "def", kAppend), 3u);
  EXPECT_TRUE(Sync(handle).ok());
  EXPECT_EQ(Content(), "xyzabcdef");
}

TEST_F(FileHandleTest, BufferedWrite_ReturnsBeforeItIsDurable) {
  client_.HoldQueue();
  FileHandle handle = Open(WriteAccess::kAppend);
  EXPECT_EQ(*Write(handle, 0, "abc", kAppend), 3u);
  EXPECT_EQ(Content(), "");
  std::optional<absl::Status> synced;
  absl::Notification done;
  handle.Sync([&](absl::Status status) {
    synced = std::move(status);
    done.Notify();
  });
  EXPECT_FALSE(done.HasBeenNotified());
  client_.LetQueueGo();
  done.WaitForNotification();
  EXPECT_TRUE(synced->ok());
  EXPECT_EQ(Content(), "abc");
}

TEST_F(FileHandleTest, DurableWrite_WaitsForTheCommit) {
  client_.HoldQueue();
  FileHandle handle = Open(WriteAccess::kAppend);
  absl::Notification done;
  handle.Write(0, "abc", {.append = true, .durable = true},
               [&](absl::StatusOr<size_t>) { done.Notify(); });
  EXPECT_FALSE(done.HasBeenNotified());
  client_.LetQueueGo();
  done.WaitForNotification();
  EXPECT_EQ(Content(), "abc");
}

TEST_F(FileHandleTest, SequentialWrites_AreConditionalAppends) {
  FileHandle handle = Open(WriteAccess::kFromEmpty);
  EXPECT_TRUE(Write(handle, 0, "abc").ok());
  EXPECT_TRUE(Write(handle, 3, "def").ok());
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), "abcdef");
}

TEST_F(FileHandleTest, WriteBeforeTheEnd_IsRefusedAtOnceAndDoesNoHarm) {
  FileHandle handle = Open(WriteAccess::kCreator);
  EXPECT_TRUE(Write(handle, 0, "abc").ok());
  EXPECT_TRUE(HasReason(Write(handle, 1, "X").status(), v1::NOT_PERMITTED));
  EXPECT_TRUE(Write(handle, 3, "def").ok());
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), "abcdef");
}

TEST_F(FileHandleTest, GapByTheCreator_BecomesZeros) {
  FileHandle handle = Open(WriteAccess::kCreator);
  const uint64_t gap = (2 << 20) + 5;
  EXPECT_TRUE(Write(handle, 0, "abc").ok());
  EXPECT_TRUE(Write(handle, 3 + gap, "def").ok());
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), "abc" + std::string(gap, '\0') + "def");
}

TEST_F(FileHandleTest, GapByAnotherOpener_IsRefused) {
  FileHandle handle = Open(WriteAccess::kFromEmpty);
  EXPECT_TRUE(HasReason(Write(handle, 5, "abc").status(), v1::NOT_PERMITTED));
  EXPECT_EQ(Content(), "");
}

TEST_F(FileHandleTest, EnormousGap_IsTooLarge) {
  FileHandle handle = Open(WriteAccess::kCreator);
  EXPECT_TRUE(HasReason(Write(handle, 1ull << 40, "abc").status(), v1::TOO_LARGE));
  EXPECT_EQ(Content(), "");
}

TEST_F(FileHandleTest, AppendFlagTakenAway_WritesOnlyAtTheRealEnd) {
  client_.AppendElsewhere(inode_, "xyz");
  FileHandle handle = Open(WriteAccess::kAppend);
  EXPECT_EQ(ToErrno(Write(handle, 0, "abc").status()), EPERM);
  EXPECT_TRUE(Write(handle, 3, "abc").ok());
  EXPECT_TRUE(Write(handle, 6, "def").ok());
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), "xyzabcdef");
}

TEST_F(FileHandleTest, AnotherAppendsInBetween_IsALateError) {
  FileHandle handle = Open(WriteAccess::kCreator);
  EXPECT_TRUE(Write(handle, 0, "abc").ok());
  EXPECT_TRUE(Sync(handle).ok());
  client_.AppendElsewhere(inode_, "!");
  EXPECT_TRUE(Write(handle, 3, "def").ok());
  EXPECT_EQ(ToErrno(Close(handle)), EPERM);
  EXPECT_EQ(Content(), "abc!");
}

TEST_F(FileHandleTest, LateError_IsToldByNextWriteAndByFsyncOnce) {
  FileHandle handle = Open(WriteAccess::kAppend);
  client_.FailNextRecord(DiskFull());
  EXPECT_TRUE(Write(handle, 0, "lost", kAppend).ok());
  EXPECT_TRUE(WaitForQueue(handle.file()).ok());
  EXPECT_TRUE(HasReason(Write(handle, 0, "not taken", kAppend).status(), v1::NO_SPACE));
  EXPECT_TRUE(Write(handle, 0, "kept", kAppend).ok());
  EXPECT_TRUE(HasReason(Sync(handle), v1::NO_SPACE));
  EXPECT_TRUE(Sync(handle).ok());
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), "kept");
}

TEST_F(FileHandleTest, LateError_IsToldByClose) {
  FileHandle handle = Open(WriteAccess::kAppend);
  client_.FailNextRecord(MakeError(v1::IN_DOUBT, "session ended"));
  EXPECT_TRUE(Write(handle, 0, "lost", kAppend).ok());
  EXPECT_EQ(ToErrno(Close(handle)), EIO);
  EXPECT_TRUE(Close(handle).ok());
}

TEST_F(FileHandleTest, FailureOfADurableWrite_IsToldByThatWriteOnly) {
  FileHandle handle = Open(WriteAccess::kAppend);
  client_.FailNextRecord(DiskFull());
  EXPECT_TRUE(
      HasReason(Write(handle, 0, "x", {.append = true, .durable = true}).status(), v1::NO_SPACE));
  EXPECT_TRUE(Sync(handle).ok());
}

TEST_F(FileHandleTest, AfterAFailure_TheGoneRecordsPlaceIsNotFilled) {
  FileHandle handle = Open(WriteAccess::kCreator);
  client_.FailNextRecord(DiskFull());
  EXPECT_TRUE(Write(handle, 0, "lost").ok());
  EXPECT_FALSE(Sync(handle).ok());
  EXPECT_EQ(ToErrno(Write(handle, 4, "behind").status()), EPERM);
  EXPECT_TRUE(Write(handle, 0, "again").ok());
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), "again");
}

TEST_F(FileHandleTest, RecordTooLong_IsWrittenShort) {
  FileHandle handle = Open(WriteAccess::kAppend);
  const std::string big(FakeClient::kMaxRecordBytes + 100, 'x');
  EXPECT_EQ(*Write(handle, 0, big, kAppend), FakeClient::kMaxRecordBytes);
  EXPECT_TRUE(Close(handle).ok());
}

TEST_F(FileHandleTest, SetSize_AllowsOnlyTheRealSize) {
  client_.AppendElsewhere(inode_, "abc");
  FileHandle handle = Open(WriteAccess::kAppend);
  EXPECT_TRUE(handle.SetSize(3).ok());
  EXPECT_TRUE(HasReason(handle.SetSize(0), v1::NOT_PERMITTED));
  EXPECT_TRUE(HasReason(handle.SetSize(4), v1::NOT_PERMITTED));
  EXPECT_EQ(Content(), "abc");
}

TEST_F(FileHandleTest, SetSizeByTheCreator_FillsWithZeros) {
  FileHandle handle = Open(WriteAccess::kCreator);
  EXPECT_TRUE(Write(handle, 0, "abc").ok());
  EXPECT_TRUE(handle.SetSize(5).ok());
  EXPECT_TRUE(Write(handle, 5, "d").ok());
  EXPECT_TRUE(HasReason(handle.SetSize(2), v1::NOT_PERMITTED));
  EXPECT_TRUE(Close(handle).ok());
  EXPECT_EQ(Content(), std::string("abc\0\0d", 6));
}

TEST_F(FileHandleTest, CloseOfAReadOnlyHandle_DoesNotWait) {
  client_.HoldQueue();
  FileHandle writer = Open(WriteAccess::kAppend), reader = Open(WriteAccess::kNone);
  EXPECT_TRUE(Write(writer, 0, "abc", kAppend).ok());
  EXPECT_TRUE(Close(reader).ok());
  client_.LetQueueGo();
  EXPECT_TRUE(Close(writer).ok());
}

TEST_F(FileHandleTest, BufferedWrite_NothingOfTheCallIsKeptAfterItsAnswer) {
  FileHandle handle = Open(WriteAccess::kAppend);
  client_.HoldQueue();
  auto call = std::make_shared<bool>(false);
  const std::weak_ptr<bool> kept = call;
  handle.Write(0, "abc", kAppend, [call](const absl::StatusOr<size_t>&) { *call = true; });
  EXPECT_TRUE(*call);
  call.reset();
  EXPECT_TRUE(kept.expired());
  client_.LetQueueGo();
  EXPECT_TRUE(Sync(handle).ok());
}

TEST_F(FileHandleTest, BufferedWriteInterruptedAfterItsAnswer_StaysInTheQueue) {
  FileHandle handle = Open(WriteAccess::kAppend);
  client_.HoldQueue();
  Interruption interruption;
  {
    InterruptionScope scope(&interruption);
    EXPECT_EQ(*Write(handle, 0, "abc", kAppend), 3u);
  }
  interruption.Fire(MakeError(v1::INTERRUPTED, "enough"));
  client_.LetQueueGo();
  EXPECT_TRUE(Sync(handle).ok());
  EXPECT_EQ(Content(), "abc");
}

TEST_F(FileHandleTest, DurableWriteInterrupted_IsAnsweredAndTakenOut) {
  FileHandle handle = Open(WriteAccess::kAppend);
  client_.HoldQueue();
  Interruption interruption;
  absl::Status answer;
  {
    InterruptionScope scope(&interruption);
    handle.Write(0, "abc", {.append = true, .durable = true},
                 [&](const absl::StatusOr<size_t>& written) { answer = written.status(); });
  }
  EXPECT_TRUE(answer.ok());
  interruption.Fire(MakeError(v1::INTERRUPTED, "enough"));
  EXPECT_TRUE(HasReason(answer, v1::INTERRUPTED));
  client_.LetQueueGo();
  EXPECT_TRUE(Sync(handle).ok());
  EXPECT_EQ(Content(), "");
}

TEST_F(FileHandleTest, LockLost_NothingIsWrittenOrSynced) {
  FileHandle handle = Open(WriteAccess::kAppend);
  EXPECT_TRUE(handle.CheckLocks().ok());
  handle.lock_user()->lost = true;
  EXPECT_TRUE(HasReason(handle.CheckLocks(), v1::INPUT_OUTPUT));
  EXPECT_TRUE(HasReason(Write(handle, 0, "x", kAppend).status(), v1::INPUT_OUTPUT));
  EXPECT_TRUE(HasReason(Sync(handle), v1::INPUT_OUTPUT));
  EXPECT_EQ(Content(), "");
}

TEST_F(FileHandleTest, RecordLocksForgotten_LocksOfTheOpenFileAreNot) {
  FileHandle handle = Open(WriteAccess::kAppend);
  handle.NoteLock({.inode = inode_, .owner = 1});
  handle.NoteLock({.inode = inode_, .owner = 2});
  handle.NoteLock({.inode = inode_, .whole_file = true, .owner = 1});
  handle.ForgetRecordLocks(1);
  const std::vector<FileLock> noted = handle.NotedLocks();
  ASSERT_EQ(noted.size(), 2u);
  EXPECT_EQ(noted[0].owner, 2u);
  EXPECT_TRUE(noted[1].whole_file);
}

}  // namespace
}  // namespace appendfs::fuse
