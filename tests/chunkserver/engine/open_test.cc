// The order to open a chunk after a recovery.

#include <gtest/gtest.h>

#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

class OpenTest : public ::testing::Test {
 protected:
  OpenTest() { cluster_.CreateEverywhere(); }
  void Fence(int server, Epoch epoch) {
    cluster_.engine(server).Fence(TestCluster::kHandle, epoch,
                                  [](auto state) { EXPECT_TRUE(state.ok()) << state.status(); });
    cluster_.Settle();
  }
  absl::Status Open(int server, Epoch epoch, uint64_t length, int primary) {
    OpenCommand command;
    command.handle = TestCluster::kHandle;
    command.epoch = epoch;
    command.length = length;
    command.mtime_ns = 77;
    for (uint64_t i = 1; i <= 3; ++i)
      command.members.push_back({ServerId(i), StrCat("server-", i)});
    command.primary = ServerId(primary);
    absl::Status outcome = absl::UnknownError("no answer");
    cluster_.engine(server).Open(command, [&](absl::Status status) { outcome = status; });
    cluster_.Settle();
    return outcome;
  }
  std::shared_ptr<RecordingClient> AppendAt(int server, Epoch epoch, uint64_t sequence,
                                            const std::string& payload) {
    auto client = std::make_shared<RecordingClient>();
    ClientBatch batch =
        cluster_.Batch(cluster_.engine(server).AddClient(client), sequence, payload);
    batch.epoch = epoch;
    cluster_.Append(server, batch);
    cluster_.Settle();
    return client;
  }
  uint64_t Durable(int server) {
    return cluster_.store(server).State(TestCluster::kHandle)->durable_length;
  }

  TestCluster cluster_;
};

TEST_F(OpenTest, Reopened_NewPrimaryGoesOnWithItsMemory) {
  auto first = AppendAt(1, Epoch(1), 1, "abc");
  ASSERT_EQ(first->outcomes.size(), 1u);
  for (int i = 1; i <= 3; ++i) Fence(i, Epoch(2));
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Open(i, Epoch(2), 3, 2).ok());
  auto again = AppendAt(2, Epoch(2), 1, "abc");
  ASSERT_EQ(again->outcomes.size(), 1u);
  EXPECT_TRUE(again->outcomes[0].status.ok()) << again->outcomes[0].status;
  EXPECT_EQ(again->outcomes[0].offset, FileOffset(1000)) << "where it was put first";
  auto next = AppendAt(2, Epoch(2), 2, "de");
  ASSERT_EQ(next->outcomes.size(), 1u);
  EXPECT_EQ(next->outcomes[0].offset, FileOffset(1003));
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(Durable(i), 5u);
  EXPECT_EQ(AppendAt(1, Epoch(2), 3, "x")->outcomes[0].status.ok(), false) << "not primary";
}

TEST_F(OpenTest, SentTwice_ChangesNothing) {
  for (int i = 1; i <= 3; ++i) Fence(i, Epoch(2));
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Open(i, Epoch(2), 0, 2).ok());
  AppendAt(2, Epoch(2), 1, "abc");
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Open(i, Epoch(2), 0, 2).ok());
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(Durable(i), 3u);
  auto next = AppendAt(2, Epoch(2), 2, "de");
  EXPECT_EQ(next->outcomes[0].offset, FileOffset(1003));
}

TEST_F(OpenTest, NotFencedOrFencedAgain_Refused) {
  EXPECT_TRUE(HasReason(Open(1, Epoch(2), 0, 1), v1::STALE_EPOCH));
  Fence(1, Epoch(3));
  EXPECT_TRUE(HasReason(Open(1, Epoch(2), 0, 1), v1::STALE_EPOCH));
}

TEST_F(OpenTest, StandsElsewhere_Refused) {
  AppendAt(1, Epoch(1), 1, "abc");
  Fence(1, Epoch(2));
  EXPECT_TRUE(HasReason(Open(1, Epoch(2), 2, 1), v1::INVALID));
  EXPECT_TRUE(HasReason(Open(1, Epoch(2), 4, 1), v1::INVALID));
}

TEST_F(OpenTest, RestOfABrokenCopy_CutBeforeItOpens) {
  AppendAt(1, Epoch(1), 1, "abc");
  Fence(1, Epoch(2));
  AppendBatch piece;  // of a copy: no client
  piece.handle = TestCluster::kHandle;
  piece.epoch = Epoch(2);
  piece.offset = 3;
  piece.payload = Buffer::From("de");
  piece.crc32c = Crc32c("de");
  cluster_.engine(1).Apply(piece, [](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
  cluster_.Settle();
  ASSERT_EQ(Durable(1), 5u);
  EXPECT_TRUE(Open(1, Epoch(2), 3, 1).ok());
  EXPECT_EQ(Durable(1), 3u);
}

TEST_F(OpenTest, LateCopyAfterItOpened_Refused) {
  AppendAt(1, Epoch(1), 1, "abc");
  for (int i = 1; i <= 3; ++i) Fence(i, Epoch(2));
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Open(i, Epoch(2), 3, 2).ok());
  AppendAt(2, Epoch(2), 2, "de");
  absl::Status outcome;
  cluster_.engine(3).Apply(ConformReplica{TestCluster::kHandle, Epoch(2), 3, false, 0, {}},
                           [&](absl::Status status) { outcome = status; });
  cluster_.Settle();
  EXPECT_TRUE(HasReason(outcome, v1::STALE_EPOCH));
  cluster_.engine(2).Reload(TestCluster::kHandle);
  EXPECT_EQ(Durable(3), 5u);
  EXPECT_TRUE(AppendAt(2, Epoch(2), 3, "f")->outcomes[0].status.ok()) << "still primary";
}

TEST_F(OpenTest, ReplicaThatHasNotOpened_VotesForNothing) {
  for (int i = 1; i <= 3; ++i) Fence(i, Epoch(2));
  EXPECT_TRUE(Open(2, Epoch(2), 0, 2).ok());
  auto client = AppendAt(2, Epoch(2), 1, "abc");
  EXPECT_EQ(Durable(1), 0u);
  EXPECT_EQ(Durable(3), 0u);
  ASSERT_EQ(client->outcomes.size(), 1u);
  EXPECT_TRUE(HasReason(client->outcomes[0].status, v1::QUORUM_LOST));
}

TEST_F(OpenTest, Parked_NobodyTakesAppendsAndAllIsShown) {
  AppendAt(1, Epoch(1), 1, "abc");
  for (int i = 1; i <= 3; ++i) Fence(i, Epoch(2));
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(Open(i, Epoch(2), 3, 0).ok());
  for (int i = 1; i <= 3; ++i)
    EXPECT_EQ(cluster_.store(i).State(TestCluster::kHandle)->committed_length, 3u);
  EXPECT_TRUE(HasReason(AppendAt(1, Epoch(2), 2, "x")->outcomes[0].status, v1::NOT_PRIMARY));
}

TEST_F(OpenTest, Idle_ReportedOnceAMinute) {
  AppendAt(1, Epoch(1), 1, "abc");
  auto idle = [&] {
    const auto& events = cluster_.events(1).events;
    return std::count_if(events.begin(), events.end(), [](const ChunkEvent& event) {
      return event.kind == ChunkEvent::Kind::kChunkIdle;
    });
  };
  cluster_.clock().now += std::chrono::seconds(59);
  cluster_.engine(1).Tick();
  EXPECT_EQ(idle(), 0);
  cluster_.clock().now += std::chrono::seconds(2);
  cluster_.engine(1).Tick();
  EXPECT_EQ(idle(), 1);
  cluster_.clock().now += std::chrono::seconds(2);
  cluster_.engine(1).Tick();
  EXPECT_EQ(idle(), 1);
}

}  // namespace
}  // namespace appendfs
