#include <gtest/gtest.h>

#include "master/chunks/chunk_creation.h"
#include "master/chunks/chunk_table.h"
#include "master/chunks/garbage.h"
#include "master/chunks/server_table.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// --- servers -----------------------------------------------------------------

class ServerTableTest : public testing::Test {
 protected:
  ServerTable::Registration Register(uint64_t id, uint64_t start_id) {
    v1::RegisterRequest request;
    request.set_address("cs:1");
    request.set_start_id(start_id);
    return table_.Register(ServerId(id), request, now_);
  }
  bool Beat(uint64_t id, uint64_t registration) {
    v1::HeartbeatRequest request;
    request.set_server_id(id);
    request.set_registration(registration);
    return table_.Heartbeat(request, now_);
  }
  std::vector<ServerId> Pass(Duration duration) {
    std::vector<ServerId> lost;
    for (Duration passed{}; passed < duration; passed += milliseconds(20)) {
      now_ += milliseconds(20);
      for (ServerId server : table_.Tick(now_)) lost.push_back(server);
    }
    return lost;
  }

  Duration now_ = seconds(1000);
  ServerTable table_{{.dead_after = seconds(2), .unseen_after = seconds(3)}, now_};
};

TEST_F(ServerTableTest, Heartbeats_KeepAliveSilenceIsToldOnce) {
  EXPECT_EQ(Register(1, 5).number, 1u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Pass(seconds(1)).empty());
    EXPECT_TRUE(Beat(1, 1));
  }
  EXPECT_EQ(Pass(seconds(3)), std::vector<ServerId>{ServerId(1)});
  EXPECT_FALSE(table_.IsAlive(ServerId(1)));
  EXPECT_TRUE(Pass(seconds(10)).empty());
  EXPECT_FALSE(Beat(1, 1)) << "given up: it must register again";
}

TEST_F(ServerTableTest, Register_SameOrNewProcess_Told) {
  EXPECT_FALSE(Register(1, 5).restarted);
  ServerTable::Registration again = Register(1, 5);
  EXPECT_EQ(again.number, 2u);
  EXPECT_FALSE(again.restarted);
  EXPECT_TRUE(Register(1, 6).restarted);
  EXPECT_FALSE(Beat(1, 2));
  EXPECT_TRUE(Beat(1, 3));
}

TEST_F(ServerTableTest, Loaded_NeverHeardOf_GivenUpAfterAWhile) {
  table_.Load(ServerId(4), "cs4:1");
  EXPECT_FALSE(table_.IsAlive(ServerId(4)));
  EXPECT_TRUE(Pass(milliseconds(2900)).empty());
  EXPECT_EQ(Pass(milliseconds(200)), std::vector<ServerId>{ServerId(4)});
}

TEST_F(ServerTableTest, Tick_MasterStoodStill_NobodyIsGivenUp) {
  Register(1, 5);
  Pass(seconds(1));
  now_ += seconds(60);
  EXPECT_TRUE(table_.Tick(now_).empty());
  EXPECT_TRUE(Beat(1, 1));
  EXPECT_TRUE(Pass(seconds(1)).empty());
  EXPECT_FALSE(Pass(seconds(2)).empty());
}

TEST_F(ServerTableTest, Suspect_ForAWhileOrUntilItRegisters) {
  Register(1, 5);
  table_.Suspect(ServerId(1), now_, false);
  EXPECT_TRUE(table_.Candidates(now_)[0].suspect);
  EXPECT_FALSE(table_.Candidates(now_ + seconds(3))[0].suspect);
  Register(1, 6);
  EXPECT_FALSE(table_.Candidates(now_)[0].suspect);
}

TEST_F(ServerTableTest, ChoosePrimary_LeastLoadedThatDidNotJustFail) {
  for (uint64_t id = 1; id <= 3; ++id) Register(id, 1);
  now_ += seconds(20);
  const std::vector<ServerId> all = {ServerId(1), ServerId(2), ServerId(3)};
  table_.AddOpenReplica(ServerId(1), true, 1);
  EXPECT_EQ(table_.ChoosePrimary(all, now_), ServerId(2));
  table_.Suspect(ServerId(2), now_, false);
  EXPECT_EQ(table_.ChoosePrimary(all, now_), ServerId(3));
  Register(3, 2);
  EXPECT_EQ(table_.ChoosePrimary(all, now_), ServerId(1)) << "the third has just started";
}

TEST_F(ServerTableTest, NoteLag_ManyChunksOfOneLapse_AreOne) {
  Register(1, 1);
  EXPECT_FALSE(table_.NoteLag(ServerId(1), now_));
  EXPECT_FALSE(table_.NoteLag(ServerId(1), now_ + std::chrono::milliseconds(500)));
  EXPECT_TRUE(table_.NoteLag(ServerId(1), now_ + seconds(5)));
  EXPECT_FALSE(table_.NoteLag(ServerId(1), now_ + seconds(60))) << "forgiven";
}

TEST_F(ServerTableTest, Reported_AllAndLive) {
  table_.Load(ServerId(1), "a");
  table_.Load(ServerId(2), "b");
  Register(1, 5);
  EXPECT_FALSE(table_.LiveReported());
  table_.SetReported(ServerId(1));
  EXPECT_TRUE(table_.LiveReported());
  EXPECT_FALSE(table_.AllReported());
}

// --- chunks --------------------------------------------------------------------

TEST(SealedChunk, SetAndDrop_KeepsOnePerServer) {
  SealedChunk chunk(10, 1, Epoch(2));
  EXPECT_TRUE(chunk.Set(3, ReplicaHealth::kStray));
  EXPECT_TRUE(chunk.Set(3, ReplicaHealth::kGood));
  ASSERT_EQ(chunk.replicas().size(), 1u);
  EXPECT_EQ(chunk.Find(3)->health, ReplicaHealth::kGood);
  chunk.Unconfirm(3);
  EXPECT_FALSE(chunk.Find(3)->confirmed);
  EXPECT_TRUE(chunk.Drop(3));
  EXPECT_FALSE(chunk.Drop(3));
}

TEST(SealedChunk, Full_SaysSo) {
  SealedChunk chunk(10, 1, Epoch(2));
  for (ServerSlot slot = 0; slot < SealedChunk::kMaxReplicas; ++slot)
    EXPECT_TRUE(chunk.Set(slot, ReplicaHealth::kGood));
  EXPECT_FALSE(chunk.Set(100, ReplicaHealth::kGood));
}

TEST(JudgeReport, Parked_LengthAndEpochDecide) {
  SealedChunk chunk(100, 7, Epoch(3), /*parked=*/true);
  v1::ReplicaReport report;
  report.set_length(100);
  report.set_epoch(3);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kGood);
  report.set_epoch(2);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kStray) << "it missed the promise";
  report.set_epoch(3);
  report.set_length(99);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kStray);
  report.set_damaged(true);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kDamaged);
}

TEST(JudgeReport, EveryKind_Judged) {
  SealedChunk chunk(10, 77, Epoch(2));
  v1::ReplicaReport report;
  report.set_length(10);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kStray);
  report.set_sealed(true);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kDamaged) << "other bytes";
  report.set_crc32c(77);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kGood);
  report.set_length(9);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kDamaged) << "sealed, but short";
  report.set_damaged(true);
  EXPECT_EQ(JudgeReport(chunk, report), ReplicaHealth::kDamaged);
}

TEST(ChunkTable, OpenThenRemoved_FoundByInodeInBetween) {
  ChunkTable table;
  v1::Chunk record;
  record.set_handle(5);
  record.set_inode(9);
  record.add_replicas()->set_server_id(1);
  table.AddOpen(record, {});
  ASSERT_NE(table.OpenOf(InodeId(9)), nullptr);
  EXPECT_TRUE(table.OpenOf(InodeId(9))->HasMember(ServerId(1)));
  table.RemoveOpen(ChunkHandle(5));
  EXPECT_EQ(table.OpenOf(InodeId(9)), nullptr);
  EXPECT_FALSE(table.Knows(ChunkHandle(5)));
}

// --- creation --------------------------------------------------------------------

class ChunkCreationTest : public testing::Test {
 protected:
  Duration now_ = seconds(1);
  ChunkCreation creation_{ChunkHandle(1), {{ServerId(1), ServerId(2), ServerId(3)}, ServerId(1)}};
};

TEST_F(ChunkCreationTest, AllCreate_Created) {
  for (uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(creation_.Evaluate(now_), ChunkCreation::State::kWaiting);
    creation_.OnAnswer(ServerId(id), absl::OkStatus(), now_);
  }
  EXPECT_EQ(creation_.Evaluate(now_), ChunkCreation::State::kCreated);
}

TEST_F(ChunkCreationTest, OneFails_FailedOnceTheOthersHaveAnswered) {
  creation_.OnAnswer(ServerId(2), MakeError(v1::UNREACHABLE, ""), now_);
  creation_.OnAnswer(ServerId(1), absl::OkStatus(), now_);
  EXPECT_EQ(creation_.Evaluate(now_), ChunkCreation::State::kWaiting);
  creation_.OnAnswer(ServerId(3), absl::OkStatus(), now_);
  EXPECT_EQ(creation_.Evaluate(now_), ChunkCreation::State::kFailed);
  EXPECT_EQ(creation_.Failed(), std::vector<ServerId>{ServerId(2)});
}

TEST_F(ChunkCreationTest, OneSilent_FailedAfterPatience) {
  creation_.OnAnswer(ServerId(1), absl::OkStatus(), now_);
  creation_.OnAnswer(ServerId(3), absl::OkStatus(), now_);
  EXPECT_EQ(creation_.Evaluate(now_ + milliseconds(299)), ChunkCreation::State::kWaiting);
  EXPECT_EQ(creation_.Evaluate(now_ + milliseconds(300)), ChunkCreation::State::kFailed);
}

TEST_F(ChunkCreationTest, TwoFail_FailedWithoutWaiting) {
  creation_.OnAnswer(ServerId(1), MakeError(v1::UNREACHABLE, ""), now_);
  creation_.OnAnswer(ServerId(3), MakeError(v1::NO_SPACE, "full"), now_);
  EXPECT_EQ(creation_.Evaluate(now_), ChunkCreation::State::kFailed);
  EXPECT_TRUE(HasReason(creation_.failure(), v1::NO_SPACE));
}

// --- garbage -----------------------------------------------------------------------

class GarbageTest : public testing::Test {
 protected:
  std::vector<GarbageCollector::Delete> Due() {
    return garbage_.TakeDue(now_, [this](ServerId server) { return !away_.contains(server); });
  }
  Duration now_ = seconds(1);
  absl::flat_hash_set<ServerId> away_;
  GarbageCollector garbage_;
};

TEST_F(GarbageTest, Logged_ForgottenWhenDeletedEverywhere) {
  garbage_.Add(ChunkHandle(1), {ServerId(1), ServerId(2)}, true);
  auto due = Due();
  ASSERT_EQ(due.size(), 2u);
  EXPECT_TRUE(Due().empty());
  garbage_.OnDeleted(due[0], absl::OkStatus(), now_);
  EXPECT_TRUE(garbage_.TakeFinished().empty());
  garbage_.OnDeleted(due[1], absl::OkStatus(), now_);
  EXPECT_EQ(garbage_.TakeFinished(), std::vector<ChunkHandle>{ChunkHandle(1)});
  EXPECT_TRUE(garbage_.TakeFinished().empty());
}

TEST_F(GarbageTest, ServerAway_WaitsForIt) {
  away_.insert(ServerId(1));
  garbage_.Add(ChunkHandle(1), {ServerId(1)}, true);
  EXPECT_TRUE(Due().empty());
  away_.clear();
  EXPECT_EQ(Due().size(), 1u);
}

TEST_F(GarbageTest, DeleteFails_TriedAgainLater) {
  garbage_.Add(ChunkHandle(1), {ServerId(1)}, false);
  garbage_.OnDeleted(Due()[0], MakeError(v1::UNREACHABLE, ""), now_);
  EXPECT_TRUE(Due().empty());
  now_ += seconds(2);
  auto due = Due();
  ASSERT_EQ(due.size(), 1u);
  garbage_.OnDeleted(due[0], absl::OkStatus(), now_);
  EXPECT_TRUE(garbage_.TakeFinished().empty()) << "it was never logged";
  EXPECT_EQ(garbage_.count(), 0u);
}

TEST_F(GarbageTest, NowhereToBeDeleted_FinishedAtOnce) {
  garbage_.Add(ChunkHandle(1), {}, true);
  EXPECT_EQ(garbage_.TakeFinished().size(), 1u);
}

}  // namespace
}  // namespace appendfs
