#include "chunkserver/engine/engine.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

constexpr ChunkHandle kHandle = TestCluster::kHandle;
constexpr Epoch kEpoch = TestCluster::kEpoch;

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() {
    cluster_.CreateEverywhere();
    stream_ = cluster_.engine(1).AddClient(client_);
  }
  void Append(uint64_t sequence, std::string payload) {
    cluster_.Append(1, cluster_.Batch(stream_, sequence, std::move(payload)));
  }
  Reason LastReason() { return ReasonOf(client_->outcomes.back().status); }
  absl::Status CreateAt(int server, CreateCommand command) {
    absl::Status status = MakeError(v1::TIMED_OUT, "not answered");
    cluster_.engine(server).Create(std::move(command), [&](absl::Status s) { status = s; });
    cluster_.Settle();
    return status;
  }
  absl::StatusOr<ReplicaState> FenceAt(int server, Epoch epoch) {
    absl::StatusOr<ReplicaState> state = MakeError(v1::TIMED_OUT, "not answered");
    cluster_.engine(server).Fence(kHandle, epoch,
                                  [&](absl::StatusOr<ReplicaState> s) { state = std::move(s); });
    cluster_.Settle();
    return state;
  }
  std::optional<absl::StatusOr<FreshLength>> AskFresh(int server, Epoch epoch = kEpoch) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<FreshLength>>>();
    std::vector<FreshAsk> asks(1);
    asks[0] = {kHandle, epoch, false, [answer](absl::StatusOr<FreshLength> a) { *answer = a; }};
    cluster_.engine(server).AskFresh(std::move(asks));
    cluster_.Settle();
    return *answer;
  }

  TestCluster cluster_;
  std::shared_ptr<RecordingClient> client_ = std::make_shared<RecordingClient>();
  StreamId stream_;
};

TEST_F(EngineTest, Append_Committed_IsAnsweredAndOnAllReplicas) {
  Append(1, "hello ");
  Append(2, "you");
  EXPECT_TRUE(client_->outcomes.empty());
  cluster_.Settle();
  ASSERT_EQ(client_->outcomes.size(), 2u);
  EXPECT_TRUE(client_->outcomes[1].status.ok());
  EXPECT_EQ(client_->outcomes[1].offset, FileOffset(1006));
  cluster_.engine(1).Tick();  // commits travel with the next message, or then
  cluster_.Settle();
  for (int server : {1, 2, 3}) {
    EXPECT_EQ(cluster_.store(server).Bytes(kHandle), "hello you");
    EXPECT_EQ(cluster_.store(server).State(kHandle)->committed_length, 9u);
  }
}

TEST_F(EngineTest, Append_OneReplicaDurable_IsNotAnswered) {
  Append(1, "hello");
  cluster_.Network();
  cluster_.store(2).Complete();
  cluster_.Network();
  EXPECT_TRUE(client_->outcomes.empty());
  cluster_.store(3).Complete();
  cluster_.Network();
  EXPECT_EQ(client_->outcomes.size(), 1u);  // the primary's own disk was not needed
}

TEST_F(EngineTest, Append_ManyInOneGroup_VotesOnce) {
  for (uint64_t i = 1; i <= 20; ++i) Append(i, "x");
  int flushes = client_->flushes;
  cluster_.Settle();
  EXPECT_EQ(client_->outcomes.size(), 20u);
  EXPECT_LE(client_->flushes - flushes, 2);
}

TEST_F(EngineTest, Append_ToTheWrongServerOrChunk_IsRefused) {
  cluster_.engine(2).AddClient(client_);
  cluster_.Append(2, cluster_.Batch(StreamId(1), 1, "x"));
  EXPECT_EQ(LastReason(), v1::NOT_PRIMARY);
  ClientBatch batch = cluster_.Batch(stream_, 1, "x");
  batch.handle = ChunkHandle(99);
  cluster_.Append(1, batch);
  EXPECT_EQ(LastReason(), v1::UNKNOWN_CHUNK);
  EXPECT_EQ(client_->outcomes.back().released_bytes, 1u);
}

TEST_F(EngineTest, PeerBroken_TwoGoOnAndTheMasterIsTold) {
  cluster_.Cut(1, 3);
  cluster_.engine(1).OnPeerBroken(ServerId(3));
  ASSERT_EQ(cluster_.events(1).events.size(), 1u);
  EXPECT_EQ(cluster_.events(1).events[0].about, ServerId(3));
  Append(1, "hello");
  cluster_.Settle();
  ASSERT_EQ(client_->outcomes.size(), 1u);
  EXPECT_TRUE(client_->outcomes[0].status.ok());
  EXPECT_TRUE(cluster_.engine(1).Inspect(kHandle)->degraded);
  cluster_.clock().now += std::chrono::seconds(2);
  cluster_.engine(1).Tick();
  EXPECT_EQ(cluster_.events(1).events.size(), 2u);
}

TEST_F(EngineTest, PrimarysStreamGone_NobodyKeepsIt) {
  struct Votes final : VoteSink {
    void Queue(const Vote&) override {}
    void Queue(const ConfirmAnswer&) override {}
    void ResumeReading() override {}
    void Flush() override {}
  };
  auto votes = std::make_shared<Votes>();
  Ready ready;
  ready.handle = kHandle;
  ready.epoch = kEpoch;
  cluster_.engine(2).AddPeer(votes);
  cluster_.engine(2).OnReplicate(votes, std::span(&ready, 1), {}, {});
  cluster_.engine(2).RemovePeer(votes);
  EXPECT_EQ(votes.use_count(), 1);
}

TEST_F(EngineTest, SilentReplica_LagsAfterASecond) {
  cluster_.Cut(1, 3);
  Append(1, "hello");
  cluster_.Settle();
  EXPECT_EQ(client_->outcomes.size(), 1u);
  cluster_.clock().now += std::chrono::milliseconds(1100);
  cluster_.engine(1).Tick();
  ASSERT_EQ(cluster_.events(1).events.size(), 1u);
  EXPECT_EQ(cluster_.events(1).events[0].kind, ChunkEvent::Kind::kReplicaLagging);
}

TEST_F(EngineTest, OwnStoreFailed_OthersGoOn) {
  cluster_.store(1).FailWith(MakeError(v1::INPUT_OUTPUT, "disk"));
  Append(1, "hello");
  cluster_.Settle();
  ASSERT_EQ(client_->outcomes.size(), 1u);
  EXPECT_TRUE(client_->outcomes[0].status.ok());
  EXPECT_EQ(cluster_.events(1).events[0].about, ServerId(1));
}

TEST_F(EngineTest, Fence_AtThePrimary_LeavesPendingOpen) {
  Append(1, "hello");
  cluster_.Settle();
  Append(2, "you");
  absl::StatusOr<ReplicaState> state = FenceAt(1, Epoch(2));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->durable_length, 8u);
  EXPECT_EQ(state->memory.clients(0).outcomes_size(), 2);
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  Append(3, "late");
  EXPECT_EQ(LastReason(), v1::STALE_EPOCH);
  EXPECT_FALSE(AskFresh(1)->ok());
}

TEST_F(EngineTest, Fence_AtAReplica_StopsThePrimaryAtItsNextReady) {
  ASSERT_TRUE(FenceAt(2, Epoch(2)).ok());
  Append(1, "hello");
  cluster_.Settle();
  EXPECT_EQ(cluster_.store(2).Bytes(kHandle), "");
  EXPECT_FALSE(cluster_.engine(1).Inspect(kHandle)->primary);
}

TEST_F(EngineTest, Fence_OlderOrUnknown_IsRefused) {
  ASSERT_TRUE(FenceAt(2, Epoch(5)).ok());
  EXPECT_EQ(ReasonOf(FenceAt(2, Epoch(4)).status()), v1::STALE_EPOCH);
  EXPECT_TRUE(FenceAt(2, Epoch(5)).ok());
  absl::Status status;
  cluster_.engine(1).Fence(ChunkHandle(99), Epoch(2),
                           [&](absl::StatusOr<ReplicaState> s) { status = s.status(); });
  EXPECT_EQ(ReasonOf(status), v1::UNKNOWN_CHUNK);
}

TEST_F(EngineTest, Create_Again_SucceedsAndKeepsThePrimary) {
  EXPECT_TRUE(CreateAt(1, cluster_.CreateFor()).ok());
  EXPECT_TRUE(CreateAt(2, cluster_.CreateFor()).ok());
  Append(1, "hello");
  cluster_.Settle();
  EXPECT_TRUE(client_->outcomes.back().status.ok());
}

TEST_F(EngineTest, Create_LateCopy_LeavesTheOrderAsItIs) {
  Append(1, "hello");
  cluster_.Settle();
  EXPECT_TRUE(CreateAt(1, cluster_.CreateFor()).ok());
  Append(2, "you");
  cluster_.Settle();
  ASSERT_EQ(client_->outcomes.size(), 2u);
  EXPECT_TRUE(client_->outcomes[1].status.ok()) << client_->outcomes[1].status;
  EXPECT_EQ(client_->outcomes[1].offset, FileOffset(1005));
}

TEST_F(EngineTest, Create_AgainAfterARestart_DoesNotMakeItPrimaryAgain) {
  cluster_.Restart(1);
  EXPECT_FALSE(CreateAt(1, cluster_.CreateFor()).ok());
  EXPECT_FALSE(cluster_.engine(1).Inspect(kHandle)->primary);
  stream_ = cluster_.engine(1).AddClient(client_);
  Append(1, "hello");
  EXPECT_EQ(LastReason(), v1::NOT_PRIMARY);
}

TEST_F(EngineTest, Create_UnderAnotherEpoch_IsRefused) {
  CreateCommand command = cluster_.CreateFor();
  command.replica.epoch = Epoch(2);
  EXPECT_FALSE(CreateAt(2, command).ok());
}

TEST_F(EngineTest, Restart_ReplicaTakesNothingUntilItIsOpenedAgain) {
  Append(1, "hello");
  cluster_.Settle();
  cluster_.Restart(2);
  Append(2, "you");
  cluster_.Settle();
  EXPECT_EQ(cluster_.store(2).Bytes(kHandle), "hello");
  ASSERT_EQ(client_->outcomes.size(), 2u);
  EXPECT_TRUE(client_->outcomes[1].status.ok()) << "the other two go on";
}

TEST_F(EngineTest, Delete_OpenChunk_ForgetsItForGood) {
  absl::Status status = MakeError(v1::TIMED_OUT, "");
  cluster_.engine(1).Delete(kHandle, [&](absl::Status s) { status = s; });
  cluster_.Settle();
  EXPECT_TRUE(status.ok());
  Append(1, "x");
  EXPECT_EQ(LastReason(), v1::UNKNOWN_CHUNK);
  EXPECT_FALSE(CreateAt(1, cluster_.CreateFor()).ok());
  cluster_.engine(1).Delete(kHandle, [&](absl::Status s) { status = s; });
  cluster_.Settle();
  EXPECT_TRUE(status.ok());
}

TEST_F(EngineTest, AskFresh_AtThePrimary_IsConfirmedByAReplica) {
  Append(1, "hello");
  cluster_.Settle();
  auto answer = AskFresh(1);
  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_EQ((*answer)->length, 5u);
  EXPECT_EQ(ReasonOf(AskFresh(2)->status()), v1::NOT_PRIMARY);
  EXPECT_EQ(ReasonOf(AskFresh(1, Epoch(2))->status()), v1::STALE_EPOCH);
}

TEST_F(EngineTest, AskFresh_OthersFenced_IsNotAnswered) {
  ASSERT_TRUE(FenceAt(2, Epoch(2)).ok());
  ASSERT_TRUE(FenceAt(3, Epoch(2)).ok());
  EXPECT_EQ(ReasonOf(AskFresh(1)->status()), v1::STALE_EPOCH);
}

TEST_F(EngineTest, AskFresh_NobodyThere_TimesOut) {
  cluster_.Cut(1, 2);
  cluster_.Cut(1, 3);
  auto answer = std::make_shared<std::optional<absl::StatusOr<FreshLength>>>();
  std::vector<FreshAsk> asks(1);
  asks[0] = {kHandle, kEpoch, false, [answer](absl::StatusOr<FreshLength> a) { *answer = a; }};
  cluster_.engine(1).AskFresh(std::move(asks));
  cluster_.Settle();
  EXPECT_FALSE(answer->has_value());
  cluster_.clock().now += std::chrono::milliseconds(1500);
  cluster_.engine(1).Tick();
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ(ReasonOf((*answer)->status()), v1::QUORUM_LOST);
}

TEST_F(EngineTest, Damaged_ReplicaIsDroppedAndReported) {
  cluster_.store(1).Damage(kHandle);
  Append(1, "hello");
  cluster_.engine(1).OnReplicaDamaged(kHandle, "flipped byte");
  EXPECT_EQ(LastReason(), v1::REPLICA_DAMAGED);
  EXPECT_EQ(cluster_.events(1).events.back().kind, ChunkEvent::Kind::kReplicaBad);
  Append(2, "you");
  EXPECT_EQ(LastReason(), v1::REPLICA_DAMAGED);
}

TEST_F(EngineTest, Lost_AtThePrimary_LeavesPendingOpenAndReports) {
  Append(1, "hello");
  const std::vector<ChunkHandle> lost = {kHandle, ChunkHandle(99)};  // the other one was sealed
  cluster_.engine(1).OnReplicasLost(lost, MakeError(v1::INPUT_OUTPUT, "the disk failed"));
  EXPECT_EQ(LastReason(), v1::REPLICA_DAMAGED);
  ASSERT_EQ(cluster_.events(1).events.size(), 1u);
  EXPECT_EQ(cluster_.events(1).events[0].kind, ChunkEvent::Kind::kReplicaGone);
  EXPECT_EQ(cluster_.events(1).events[0].handle, kHandle);
  EXPECT_EQ(cluster_.engine(1).losses(), 1u);
  EXPECT_FALSE(cluster_.engine(1).Inspect(kHandle)->primary);
}

TEST_F(EngineTest, Lost_AtAReplica_ThePrimaryKnowsAtOnce) {
  Append(1, "hello");
  cluster_.Network();
  cluster_.engine(2).OnReplicasLost(std::vector<ChunkHandle>{kHandle},
                                    MakeError(v1::INPUT_OUTPUT, "the disk failed"));
  cluster_.Network();
  ASSERT_EQ(cluster_.events(1).events.size(), 1u);
  EXPECT_EQ(cluster_.events(1).events[0].kind, ChunkEvent::Kind::kReplicaLagging);
  EXPECT_EQ(cluster_.events(1).events[0].about, ServerId(2));
  cluster_.Settle();
  ASSERT_EQ(client_->outcomes.size(), 1u);
  EXPECT_TRUE(client_->outcomes[0].status.ok());
}

TEST_F(EngineTest, StopAppends_LeavesEverythingOpen) {
  Append(1, "hello");
  cluster_.engine(1).StopAppends();
  EXPECT_EQ(LastReason(), v1::SHUTTING_DOWN);
  Append(2, "you");
  EXPECT_EQ(LastReason(), v1::SHUTTING_DOWN);
}

TEST_F(EngineTest, Unapplied_TooMuch_HoldsClientsBackUntilItIsLess) {
  EXPECT_TRUE(cluster_.engine(1).AdmitsClients());
  cluster_.store(1).SetUnapplied(60ull << 20);
  cluster_.engine(1).Tick();
  EXPECT_FALSE(cluster_.engine(1).AdmitsClients());
  EXPECT_TRUE(cluster_.engine(1).AdmitsPeers());
  EXPECT_EQ(client_->resumed, 0);
  cluster_.store(1).SetUnapplied(10);
  cluster_.engine(1).Tick();
  EXPECT_TRUE(cluster_.engine(1).AdmitsClients());
  EXPECT_EQ(client_->resumed, 1);
}

TEST_F(EngineTest, TwoMembers_CommitNeedsBoth) {
  TestCluster two(2);
  two.CreateEverywhere();
  auto client = std::make_shared<RecordingClient>();
  StreamId stream = two.engine(1).AddClient(client);
  two.Append(1, two.Batch(stream, 1, "hello"));
  two.store(1).Complete();
  EXPECT_TRUE(client->outcomes.empty());
  two.Settle();
  EXPECT_EQ(client->outcomes.size(), 1u);
}

TEST_F(EngineTest, List_NamesPrimaryAndDegraded) {
  cluster_.engine(1).OnPeerBroken(ServerId(3));
  std::vector<ReplicaSummary> at_primary = cluster_.engine(1).List(ChunkHandle(), 10);
  ASSERT_EQ(at_primary.size(), 1u);
  EXPECT_TRUE(at_primary[0].primary);
  EXPECT_TRUE(at_primary[0].degraded);
  EXPECT_FALSE(cluster_.engine(2).List(ChunkHandle(), 10)[0].primary);
}

}  // namespace
}  // namespace appendfs
