#include "chunkserver/engine/heartbeat.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/time/time.h"
#include "common/protocol.h"
#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

// A master in memory; every answer can be turned into an error.
class FakeMaster final : public MasterLink {
 public:
  absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request) override {
    absl::MutexLock lock(&mutex);
    registers.push_back(request);
    if (!failure.ok()) return failure;
    v1::RegisterResponse response;
    *response.mutable_version() = OurProtocol();
    response.set_cluster_uuid(cluster_uuid);
    response.set_server_id(4);
    response.set_incarnation(9);
    response.set_registration(registers.size());
    response.set_heartbeat_interval_ms(5);
    return response;
  }
  absl::Status ReportChunks(const v1::ReportChunksRequest& request) override {
    absl::MutexLock lock(&mutex);
    reports.push_back(request);
    return absl::OkStatus();
  }
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request) override {
    absl::MutexLock lock(&mutex);
    heartbeats.push_back(request);
    if (!failure.ok()) return failure;
    v1::HeartbeatResponse response;
    response.set_register_again(std::exchange(register_again, false));
    return response;
  }
  void Cancel() override {}

  // Waits until the condition holds, which is looked at under the lock.
  bool Wait(std::function<bool()> condition) {
    absl::MutexLock lock(&mutex);
    return mutex.AwaitWithTimeout(absl::Condition(&condition), absl::Seconds(10));
  }

  absl::Mutex mutex;
  std::string cluster_uuid = "c";
  absl::Status failure;
  bool register_again = false;
  std::vector<v1::RegisterRequest> registers;
  std::vector<v1::ReportChunksRequest> reports;
  std::vector<v1::HeartbeatRequest> heartbeats;
};

class HeartbeatTest : public ::testing::Test {
 protected:
  HeartbeatTest() { cluster_.CreateEverywhere(); }
  ~HeartbeatTest() override { heartbeat_->Stop(); }
  void Start() {
    heartbeat_ =
        std::make_unique<Heartbeat>(cluster_.engine(1), cluster_.store(1), membership_, events_,
                                    master_, clock_, "here:1", [this](absl::Status why) {
                                      absl::MutexLock lock(&master_.mutex);
                                      fatal_ = why;
                                    });
    heartbeat_->Start();
  }

  TestCluster cluster_;
  SystemClock clock_;
  Membership membership_{"", ServerId()};
  EventQueue events_;
  FakeMaster master_;
  absl::Status fatal_;
  std::unique_ptr<Heartbeat> heartbeat_;
};

TEST_F(HeartbeatTest, Start_NewDirectory_TakesItsIdentityAndReports) {
  Start();
  ASSERT_TRUE(master_.Wait([&] { return !master_.heartbeats.empty(); }));
  EXPECT_EQ(master_.registers[0].server_id(), 0u);
  EXPECT_EQ(master_.registers[0].address(), "here:1");
  EXPECT_EQ(master_.registers[0].highest_handle(), TestCluster::kHandle.value());
  EXPECT_EQ(cluster_.store(1).identity().cluster_uuid, "c");
  EXPECT_EQ(cluster_.store(1).identity().server, ServerId(4));
  EXPECT_EQ(membership_.self().incarnation, 9u);
  ASSERT_EQ(master_.reports.size(), 1u);
  EXPECT_TRUE(master_.reports[0].last());
  ASSERT_EQ(master_.reports[0].replicas_size(), 1);
  EXPECT_TRUE(master_.reports[0].replicas(0).primary());
}

TEST_F(HeartbeatTest, Events_AreSentUntilAHeartbeatSucceeded) {
  Start();
  ASSERT_TRUE(master_.Wait([&] { return !master_.heartbeats.empty(); }));
  {
    absl::MutexLock lock(&master_.mutex);
    master_.failure = MakeError(v1::TIMED_OUT, "slow");
  }
  events_.Post({ChunkEvent::Kind::kReplicaLagging, TestCluster::kHandle, Epoch(1), ServerId(3)});
  auto with_event = [&] {
    return std::count_if(master_.heartbeats.begin(), master_.heartbeats.end(),
                         [](const auto& heartbeat) { return heartbeat.events_size() > 0; });
  };
  ASSERT_TRUE(master_.Wait([&] { return with_event() >= 1; }));
  {
    absl::MutexLock lock(&master_.mutex);
    master_.failure = absl::OkStatus();
    master_.heartbeats.clear();
  }
  ASSERT_TRUE(master_.Wait(
      [&] { return with_event() == 1 && master_.heartbeats.back().events_size() == 0; }));
}

TEST_F(HeartbeatTest, RegisterAgain_RegistersAndReportsAgain) {
  Start();
  {
    absl::MutexLock lock(&master_.mutex);
    master_.register_again = true;
  }
  ASSERT_TRUE(master_.Wait([&] { return master_.reports.size() == 2; }));
  absl::MutexLock lock(&master_.mutex);
  EXPECT_EQ(master_.registers[1].server_id(), 4u);
  EXPECT_EQ(master_.registers[1].cluster_uuid(), "c");
  EXPECT_EQ(master_.registers[1].start_id(), master_.registers[0].start_id());
}

TEST_F(HeartbeatTest, DiskLost_ReportsAllAgain) {
  Start();
  ASSERT_TRUE(master_.Wait([&] { return !master_.heartbeats.empty(); }));
  cluster_.engine(1).OnReplicasLost(std::vector<ChunkHandle>{TestCluster::kHandle},
                                    MakeError(v1::INPUT_OUTPUT, "the disk failed"));
  ASSERT_TRUE(master_.Wait([&] { return master_.reports.size() == 2; }));
  absl::MutexLock lock(&master_.mutex);
  master_.heartbeats.clear();
  auto beats = [&] { return master_.heartbeats.size() >= 3; };
  master_.mutex.Await(absl::Condition(&beats));
  EXPECT_EQ(master_.reports.size(), 2u);
}

TEST_F(HeartbeatTest, ConnectionLost_RegistersAgainOnceItIsBack) {
  Start();
  ASSERT_TRUE(master_.Wait([&] { return !master_.heartbeats.empty(); }));
  {
    absl::MutexLock lock(&master_.mutex);
    master_.failure = MakeError(v1::UNREACHABLE, "gone");
  }
  ASSERT_TRUE(master_.Wait([&] { return master_.registers.size() >= 2; }));
  {
    absl::MutexLock lock(&master_.mutex);
    master_.failure = absl::OkStatus();
  }
  EXPECT_TRUE(master_.Wait([&] { return master_.reports.size() == 2; }));
}

TEST_F(HeartbeatTest, Refused_AnotherCluster_IsFatal) {
  membership_.Registered({"other", ServerId(4)});
  Start();
  ASSERT_TRUE(master_.Wait([&] { return !fatal_.ok(); }));
  EXPECT_EQ(ReasonOf(fatal_), v1::WRONG_CLUSTER);
}

}  // namespace
}  // namespace appendfs
