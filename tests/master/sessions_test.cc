#include "master/sessions/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "master/memory_tables.h"
#include "master/namespace/meta_machine.h"
#include "master/namespace/reads.h"
#include "master/rocksdb_meta_log.h"
#include "tests/common/temp_dir.h"
#include "tests/master/log_helpers.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;

// A master's half that can be restarted.
class SessionsTest : public ::testing::Test {
 protected:
  SessionsTest() {
    options_.timeout = std::chrono::seconds(100);
    options_.tick = std::chrono::milliseconds(1);
    Start();
  }
  ~SessionsTest() override { Stop(); }

  void Start() {
    files_ = std::make_unique<OpenInodes>();
    MetaLogOptions log_options;
    log_options.gate = files_.get();
    opened_ = OpenRocksDbMetaLog(dir_ / "meta", machine_, clock_, log_options).value();
    sessions_ = Sessions::Create(options_, *opened_.log, *files_, clock_).value();
    sessions_->Start([this](std::vector<ChunkHandle> handles) {
      absl::MutexLock lock(&mutex_);
      garbage_.insert(garbage_.end(), handles.begin(), handles.end());
    });
  }
  void Stop() {
    opened_.log->Stop();
    sessions_.reset();
    opened_.log.reset();
  }
  void Restart() {
    Stop();
    Start();
  }

  ClientId OpenSession() {
    absl::Notification done;
    ClientId client;
    sessions_->Open("test", [&](absl::StatusOr<ClientId> opened) {
      client = opened.value();
      done.Notify();
    });
    done.WaitForNotification();
    return client;
  }
  v1::MetaResult Run(v1::MetaOp op) { return ProposeAndWait(*opened_.log, std::move(op)).value(); }
  InodeId Make(ClientId client, uint64_t sequence, const std::string& name) {
    return InodeId(
        Run(MakeFileOp(client.value(), sequence, name)).make_node().entry().attributes().inode());
  }
  bool Exists(InodeId inode) { return GetEntry(*opened_.log->Snapshot(), inode).ok(); }
  // The tick runs every millisecond; nothing here takes ten seconds.
  template <class Condition>
  bool Eventually(Condition condition) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      ProposeAndWait(*opened_.log, v1::MetaOp()).IgnoreError();
    }
    return true;
  }

  TempDir dir_;
  MetaMachine machine_;
  ManualClock clock_;
  SessionOptions options_;
  std::unique_ptr<OpenInodes> files_;
  OpenedMetaLog opened_;
  std::unique_ptr<Sessions> sessions_;
  absl::Mutex mutex_;
  std::vector<ChunkHandle> garbage_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(SessionsTest, Opened_IsLiveUntilClosed) {
  ClientId client = OpenSession();
  EXPECT_TRUE(sessions_->IsLive(client));
  EXPECT_EQ(sessions_->count(), 1u);
  absl::Notification done;
  sessions_->Close(client, [&](absl::Status status) {
    EXPECT_TRUE(status.ok());
    done.Notify();
  });
  EXPECT_FALSE(sessions_->IsLive(client));
  done.WaitForNotification();
  EXPECT_EQ(sessions_->count(), 0u);
  EXPECT_TRUE(HasReason(sessions_->KeepAlive(client), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(sessions_->Check(client), v1::SESSION_EXPIRED));
  Restart();
  EXPECT_FALSE(sessions_->IsLive(client));
  EXPECT_GT(OpenSession(), client);
}

TEST_F(SessionsTest, KeptAlive_Lives_SilentOneIsEnded) {
  ClientId kept = OpenSession(), silent = OpenSession();
  clock_.Advance(std::chrono::seconds(60));
  ASSERT_TRUE(sessions_->KeepAlive(kept).ok());
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_TRUE(Eventually([&] { return sessions_->count() == 1; }));
  EXPECT_TRUE(sessions_->IsLive(kept));
  EXPECT_FALSE(sessions_->IsLive(silent));
}

TEST_F(SessionsTest, TimedOut_ItsOrphansArePurged) {
  ClientId reader = OpenSession(), writer = OpenSession();
  InodeId file = Make(writer, 1, "f");
  v1::MetaOp reserve;
  reserve.mutable_reserve_handles()->set_count(1);
  uint64_t handle = Run(reserve).id();
  v1::MetaOp allocate;
  allocate.mutable_allocate_chunk()->set_inode(file.value());
  allocate.mutable_allocate_chunk()->set_handle(handle);
  allocate.mutable_allocate_chunk()->set_capacity(10);
  allocate.mutable_allocate_chunk()->add_members(1);
  allocate.mutable_allocate_chunk()->add_members(2);
  allocate.mutable_allocate_chunk()->set_primary_id(1);
  ASSERT_FALSE(Run(allocate).has_error());
  ASSERT_TRUE(files_->Open(reader, file).ok());
  Run(UnlinkFileOp(writer.value(), 2, "f"));
  EXPECT_TRUE(Exists(file));
  clock_.Advance(std::chrono::seconds(60));
  ASSERT_TRUE(sessions_->KeepAlive(writer).ok());
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex_);
    return !garbage_.empty();
  }));
  EXPECT_FALSE(Exists(file));
  absl::MutexLock lock(&mutex_);
  EXPECT_THAT(garbage_, ElementsAre(ChunkHandle(handle)));
}

TEST_F(SessionsTest, Restart_OrphansWaitUntilEverySessionHasReclaimed) {
  ClientId reader = OpenSession(), other = OpenSession();
  InodeId file = Make(other, 1, "f"), second = Make(other, 2, "g"), third = Make(other, 3, "h");
  for (InodeId inode : {file, second, third}) ASSERT_TRUE(files_->Open(reader, inode).ok());
  Run(UnlinkFileOp(other.value(), 4, "f"));
  Run(UnlinkFileOp(other.value(), 5, "g"));
  Restart();
  EXPECT_TRUE(sessions_->IsLive(reader));
  Run(UnlinkFileOp(other.value(), 6, "h"));  // open, but the master does not know yet
  ASSERT_TRUE(sessions_->Reclaim(other, {}).ok());
  for (InodeId inode : {file, second, third}) EXPECT_TRUE(Exists(inode));
  ASSERT_TRUE(sessions_->Reclaim(reader, {file, third}).ok());
  EXPECT_TRUE(Eventually([&] { return !Exists(second); }));
  EXPECT_TRUE(Exists(file));
  EXPECT_TRUE(Exists(third));
  files_->Close(reader, file);
  EXPECT_TRUE(Eventually([&] { return !Exists(file); }));
  EXPECT_TRUE(Exists(third));
}

TEST_F(SessionsTest, Restart_SessionThatNeverReclaims_HoldsOrphansUntilItTimesOut) {
  ClientId gone = OpenSession();
  InodeId file = Make(gone, 1, "f");
  ASSERT_TRUE(files_->Open(gone, file).ok());
  Run(UnlinkFileOp(gone.value(), 2, "f"));
  Restart();
  EXPECT_TRUE(Exists(file));
  clock_.Advance(std::chrono::seconds(200));
  EXPECT_TRUE(Eventually([&] { return !Exists(file); }));
}

// The destructor once cleared what the ticking thread was about to use.
TEST_F(SessionsTest, Destroyed_WhileTicking_EndsCleanly) {
  options_.tick = Duration(0);
  for (int i = 0; i < 30; ++i) {
    sessions_ = Sessions::Create(options_, *opened_.log, *files_, clock_).value();
    sessions_->Start([](std::vector<ChunkHandle>) {});
    OpenSession();
  }
}

TEST_F(SessionsTest, LateCopyOfAnAnsweredMutation_IsRefused) {
  ClientId client = OpenSession();
  v1::MutationId mutation;
  mutation.set_client_id(client.value());
  mutation.set_sequence(5);
  EXPECT_TRUE(sessions_->Admit(mutation).ok());
  mutation.set_sequence(9);
  mutation.set_answered_below(9);
  EXPECT_TRUE(sessions_->Admit(mutation).ok());
  EXPECT_TRUE(sessions_->Admit(mutation).ok());
  mutation.set_sequence(5);
  mutation.set_answered_below(5);
  EXPECT_TRUE(HasReason(sessions_->Admit(mutation), v1::SEQUENCE_FORGOTTEN));
  mutation.set_sequence(0);
  mutation.set_answered_below(0);
  EXPECT_TRUE(HasReason(sessions_->Admit(mutation), v1::INVALID));
  mutation.set_client_id(999);
  EXPECT_TRUE(HasReason(sessions_->Admit(mutation), v1::SESSION_EXPIRED));
}

}  // namespace
}  // namespace appendfs
