// A client's calls over a real link, on the loopback.

#include "master/rpc/client_stream.h"

#include <gmock/gmock.h>

#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/link/call_link.h"
#include "tests/common/link/link_server.h"
#include "tests/master/master_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ClientStreamTest : public MasterFixture {
 protected:
  ClientStreamTest() {
    v1::MasterCall call;
    *call.mutable_open_session() = SessionRequest();
    absl::StatusOr<v1::MasterAnswer> answer = Call(std::move(call));
    EXPECT_TRUE(answer.ok()) << answer.status();
    client_ = answer->open_session().client_id();
  }
  ~ClientStreamTest() override {
    link_->Stop();
    server_.reset();
  }

  absl::StatusOr<v1::MasterAnswer> Call(v1::MasterCall call, Duration patience = seconds(30)) {
    absl::Notification answered;
    absl::StatusOr<v1::MasterAnswer> result;
    link_->Call(std::move(call), real_clock_.Monotonic() + patience,
                [&](absl::StatusOr<MasterCallLink::Answer> answer) {
                  if (answer.ok())
                    result = std::move(answer->header);
                  else
                    result = answer.status();
                  answered.Notify();
                });
    answered.WaitForNotification();
    return result;
  }
  v1::MasterCall MakeFile(uint64_t sequence, const std::string& name) {
    v1::MasterCall call;
    *call.mutable_make_node() = MakeRequest(client_, sequence, name);
    return call;
  }
  v1::MasterCall OpenTail(uint32_t patience_ms) {
    v1::MasterCall call;
    call.set_patience_ms(patience_ms);
    call.mutable_open_tail()->set_client_id(client_);
    return call;
  }

  const SystemClock real_clock_{};
  MasterCalls calls_{parts()};
  Watches watches_{real_clock_, /*restarted=*/false};
  std::unique_ptr<LinkServer> server_ = std::make_unique<LinkServer>(
      [this](const auto& link) { return std::make_shared<ClientStream>(link, calls_, watches_); });
  std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
  IoThreads threads_{"client"};
  std::shared_ptr<MasterCallLink> link_ = std::make_shared<MasterCallLink>(
      threads_, *timers_, real_clock_, server_->address(), std::string());
  uint64_t client_ = 0;
};

TEST_F(ClientStreamTest, MutationAndReads_GoThrough) {
  absl::StatusOr<v1::MasterAnswer> made = Call(MakeFile(1, "f"));
  ASSERT_TRUE(made.ok()) << made.status();
  const uint64_t inode = made->make_node().entry().attributes().inode();
  v1::MasterCall call;
  call.mutable_get_attributes()->set_client_id(client_);
  call.mutable_get_attributes()->set_inode(inode);
  EXPECT_EQ(Call(call)->entry().attributes().mode(), 0644u);
  call.mutable_lookup()->set_client_id(client_);
  call.mutable_lookup()->set_parent(1);
  call.mutable_lookup()->set_name("f");
  EXPECT_EQ(Call(call)->entry().attributes().inode(), inode);
  call.mutable_open()->set_client_id(client_);
  call.mutable_open()->set_inode(inode);
  EXPECT_EQ(Call(call)->plan().attributes().inode(), inode);
}

TEST_F(ClientStreamTest, MutationSentAgain_GetsItsFirstAnswer) {
  const uint64_t inode = Call(MakeFile(1, "f"))->make_node().entry().attributes().inode();
  EXPECT_EQ(Call(MakeFile(1, "f"))->make_node().entry().attributes().inode(), inode);
  EXPECT_TRUE(HasReason(Call(MakeFile(2, "f")).status(), v1::ENTRY_EXISTS));
}

TEST_F(ClientStreamTest, Refusal_CarriesReasonAndMessage) {
  absl::Status status = Call(MakeFile(1, "a/b")).status();
  EXPECT_TRUE(HasReason(status, v1::INVALID));
  EXPECT_THAT(std::string(status.message()), HasSubstr("a/b"));
  v1::MasterCall call;
  *call.mutable_open_session() = SessionRequest();
  call.mutable_open_session()->mutable_version()->set_lowest(8);
  call.mutable_open_session()->mutable_version()->set_current(9);
  EXPECT_TRUE(HasReason(Call(call).status(), v1::VERSION_MISMATCH));
}

TEST_F(ClientStreamTest, RefusalOfANameThatIsNotUtf8_CanBeRead) {
  v1::MasterCall call;
  call.mutable_lookup()->set_client_id(client_);
  call.mutable_lookup()->set_parent(1);
  call.mutable_lookup()->set_name("\xff\xfe");
  EXPECT_TRUE(HasReason(Call(call).status(), v1::NO_ENTRY));
}

TEST_F(ClientStreamTest, CallOfALaterVersion_IsRefusedAlone) {
  EXPECT_TRUE(HasReason(Call(v1::MasterCall()).status(), v1::INVALID));
  EXPECT_TRUE(Call(MakeFile(1, "f")).ok());
}

TEST_F(ClientStreamTest, OpenTail_CallerThatGivesUp_IsLetGo) {
  EXPECT_TRUE(HasReason(Call(OpenTail(100), milliseconds(100)).status(), v1::TIMED_OUT));
  chunks_.TakeTail()(v1::Chunk());  // too late, and harmless
  EXPECT_TRUE(Call(MakeFile(1, "f")).ok());
}

TEST_F(ClientStreamTest, OpenTail_DoesNotHoldUpOtherCalls) {
  absl::Notification answered;
  absl::StatusOr<uint64_t> handle;
  link_->Call(OpenTail(60'000), real_clock_.Monotonic() + seconds(60),
              [&](absl::StatusOr<MasterCallLink::Answer> answer) {
                if (answer.ok()) handle = answer->header.open_tail().tail().handle();
                answered.Notify();
              });
  EXPECT_TRUE(Call(MakeFile(1, "f")).ok());
  EXPECT_FALSE(answered.HasBeenNotified());
  v1::Chunk tail;
  tail.set_handle(17);
  chunks_.TakeTail()(tail);
  answered.WaitForNotification();
  EXPECT_EQ(*handle, 17u);
}

TEST_F(ClientStreamTest, ClientThatIsGone_LeavesItsAnswersBehind) {
  link_->Call(OpenTail(60'000), real_clock_.Monotonic() + seconds(60), [](const auto&) {});
  ChunkManager::TailDone done = chunks_.TakeTail();
  link_->Stop();
  std::move(done)(v1::Chunk());
}

// What a link is told, in its order.
class Hearer final : public MasterNews::Listener {
 public:
  void OnChanged(const v1::Changed& changed, Heard heard) override {
    {
      absl::MutexLock lock(&mutex_);
      for (uint64_t inode : changed.inodes()) changed_.push_back(inode);
    }
    std::move(heard)();
  }
  void OnRefused() override {}
  void OnAnswerToNobody() override {}
  void OnLost() override {}
  std::vector<uint64_t> changed() {
    absl::MutexLock lock(&mutex_);
    return changed_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<uint64_t> changed_ ABSL_GUARDED_BY(mutex_);
};

class WatchedStreamTest : public ClientStreamTest {
 protected:
  WatchedStreamTest() { other_->news().Listen(&hearer_); }
  ~WatchedStreamTest() override { other_->Stop(); }

  v1::MasterAnswer Ask(v1::MasterCall call) {
    call.set_watch(true);
    absl::Notification answered;
    v1::MasterAnswer result;
    other_->Call(std::move(call), real_clock_.Monotonic() + seconds(30),
                 [&](absl::StatusOr<MasterCallLink::Answer> answer) {
                   if (answer.ok()) result = std::move(answer->header);
                   answered.Notify();
                 });
    answered.WaitForNotification();
    return result;
  }
  v1::MasterCall LookUp(const std::string& name) {
    v1::MasterCall call;
    call.mutable_lookup()->set_client_id(client_);
    call.mutable_lookup()->set_parent(1);
    call.mutable_lookup()->set_name(name);
    return call;
  }
  v1::MasterCall Remove(uint64_t sequence, const std::string& name) {
    v1::MasterCall call;
    call.mutable_unlink()->mutable_mutation()->set_client_id(client_);
    call.mutable_unlink()->mutable_mutation()->set_sequence(sequence);
    call.mutable_unlink()->set_parent(1);
    call.mutable_unlink()->set_name(name);
    return call;
  }

  Hearer hearer_;
  std::shared_ptr<MasterCallLink> other_ = std::make_shared<MasterCallLink>(
      threads_, *timers_, real_clock_, server_->address(), std::string());
};

TEST_F(WatchedStreamTest, Change_IsHeardByWhoLookedBeforeItIsAnswered) {
  const uint64_t inode = Call(MakeFile(1, "f"))->make_node().entry().attributes().inode();
  EXPECT_GT(Ask(LookUp("f")).watched_ms(), 0u);
  ASSERT_TRUE(Call(Remove(2, "f")).ok());
  EXPECT_THAT(hearer_.changed(), ::testing::UnorderedElementsAre(1, inode));
}

TEST_F(WatchedStreamTest, NameThatIsNotThere_IsWatchedToo) {
  Ask(LookUp("f"));  // is refused, and that it is not there is watched
  ASSERT_TRUE(Call(MakeFile(1, "f")).ok());
  EXPECT_THAT(hearer_.changed(), ::testing::ElementsAre(1));
}

TEST_F(WatchedStreamTest, OwnChange_IsNotTold) {
  Ask(LookUp("f"));  // is refused, and that it is not there is watched
  EXPECT_TRUE(Ask(MakeFile(1, "f")).make_node().created());
  EXPECT_THAT(hearer_.changed(), ::testing::IsEmpty());
}

TEST_F(WatchedStreamTest, FileThatBeginsToGrow_IsForgottenByWhoAppendsToo) {
  const uint64_t inode = Call(MakeFile(1, "f"))->make_node().entry().attributes().inode();
  EXPECT_GT(Ask(LookUp("f")).watched_ms(), 0u);
  v1::MasterCall open = OpenTail(60'000);
  open.mutable_open_tail()->set_inode(inode);
  std::thread opener([&] { EXPECT_TRUE(Ask(open).has_open_tail()); });
  chunks_.TakeTail()(v1::Chunk());
  opener.join();
  EXPECT_THAT(hearer_.changed(), ::testing::ElementsAre(inode));
}

}  // namespace
}  // namespace appendfs
