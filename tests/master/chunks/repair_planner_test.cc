#include "master/chunks/repair_planner.h"

#include <gtest/gtest.h>

namespace appendfs {
namespace {

using Kind = RepairTask::Kind;
using std::chrono::seconds;

constexpr ChunkHandle kChunk{7};

v1::Chunk Record(ChunkHandle handle, v1::ChunkState state = v1::SEALED) {
  v1::Chunk record;
  record.set_handle(handle.value());
  record.set_state(state);
  record.set_length(100);
  record.set_crc32c(1);
  record.set_epoch(2);
  return record;
}

class RepairPlannerTest : public testing::Test {
 protected:
  void AddServers(uint64_t count) {
    for (uint64_t id = 1; id <= count; ++id) Revive(id);
  }
  void Revive(uint64_t id) {
    v1::RegisterRequest request;
    request.set_address("cs");
    request.set_start_id(1);
    request.set_capacity_bytes(1000);
    request.set_available_bytes(900 - id);
    servers_.Register(ServerId(id), request, now_);
  }
  void Heartbeat(uint64_t id, uint64_t available_bytes) {
    v1::HeartbeatRequest beat;
    beat.set_server_id(id);
    beat.set_registration(servers_.Find(ServerId(id))->registration);
    beat.set_capacity_bytes(1000);
    beat.set_available_bytes(available_bytes);
    servers_.Heartbeat(beat, now_);
  }
  // Only the named servers stay alive.
  void Pass(Duration duration, std::vector<uint64_t> alive) {
    for (Duration passed{}; passed < duration; passed += std::chrono::milliseconds(100)) {
      now_ += std::chrono::milliseconds(100);
      for (uint64_t id : alive) Heartbeat(id, 900 - id);
      for (ServerId lost : servers_.Tick(now_)) planner_.LookAtServer(lost, now_);
    }
  }
  void AddChunk(std::vector<std::pair<uint64_t, ReplicaHealth>> replicas,
                v1::ChunkState state = v1::SEALED) {
    SealedChunk& chunk = chunks_.AddSealed(Record(kChunk, state));
    for (auto [id, health] : replicas) chunk.Set(servers_.SlotOf(ServerId(id)), health);
    planner_.Look(kChunk, now_);
  }
  std::vector<RepairTask> Plan(bool safe_mode = false) { return planner_.Plan(now_, safe_mode); }

  Duration now_ = seconds(1000);
  ServerTable servers_{{.dead_after = seconds(2), .unseen_after = seconds(3)}, now_};
  ChunkTable chunks_;
  RepairPlanner planner_{chunks_, servers_, {}};
};

TEST_F(RepairPlannerTest, ThreeGood_Nothing) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kGood}});
  EXPECT_TRUE(Plan().empty());
  EXPECT_EQ(planner_.waiting(), 0u);
}

TEST_F(RepairPlannerTest, Parked_ThreeGood_Nothing) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kGood}},
           v1::PARKED);
  EXPECT_TRUE(Plan().empty());
  EXPECT_EQ(planner_.waiting(), 0u);
}

TEST_F(RepairPlannerTest, Parked_MemberLostAndAnotherServerThere_SealedThenRepaired) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kGood}},
           v1::PARKED);
  Pass(seconds(4), {1, 2, 4});
  EXPECT_TRUE(Plan().empty()) << "it may come back";
  Pass(seconds(6), {1, 2, 4});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kSeal);
  EXPECT_TRUE(Plan().empty()) << "it is under way";
  planner_.OnDone(tasks[0], absl::OkStatus(), now_);
  EXPECT_FALSE(chunks_.FindSealed(kChunk)->parked());
  tasks = Plan();
  size_t conforms = 0, copies = 0;
  for (const RepairTask& task : tasks) {
    conforms += task.kind == Kind::kConform;
    copies += task.kind == Kind::kCopy && task.server == ServerId(4);
  }
  EXPECT_EQ(conforms, 2u) << "the good ones are told that they are sealed";
  EXPECT_EQ(copies, 1u);
}

TEST_F(RepairPlannerTest, Parked_MemberAwayAndNowhereElse_StaysParked) {
  AddServers(3);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kGood}},
           v1::PARKED);
  Pass(seconds(20), {1, 2});
  EXPECT_TRUE(Plan().empty());
  Revive(3);
  planner_.LookAtServer(ServerId(3), now_);
  EXPECT_TRUE(Plan().empty());
  EXPECT_EQ(planner_.waiting(), 0u);
}

TEST_F(RepairPlannerTest, Parked_ReplicaBad_SealedButNotInSafeMode) {
  AddServers(3);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kStray}},
           v1::PARKED);
  Pass(seconds(6), {1, 2, 3});
  EXPECT_TRUE(Plan(/*safe_mode=*/true).empty());
  Pass(seconds(4), {1, 2, 3});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kSeal);
}

TEST_F(RepairPlannerTest, JustSealed_EveryMemberIsToldAlsoInSafeMode) {
  AddServers(3);
  AddChunk({{1, ReplicaHealth::kHolder}, {2, ReplicaHealth::kHolder}, {3, ReplicaHealth::kStray}});
  auto tasks = Plan(true);
  ASSERT_EQ(tasks.size(), 3u);
  for (const RepairTask& task : tasks) {
    EXPECT_EQ(task.kind, Kind::kConform);
    EXPECT_GE(task.sources.size(), 1u);
    EXPECT_EQ(std::count(task.sources.begin(), task.sources.end(), task.server), 0);
    EXPECT_EQ(std::count(task.sources.begin(), task.sources.end(), ServerId(3)), 0);
  }
  EXPECT_TRUE(Plan(true).empty()) << "they are under way";
  for (const RepairTask& task : tasks) planner_.OnDone(task, absl::OkStatus(), now_);
  EXPECT_TRUE(Plan().empty());
  EXPECT_EQ(planner_.waiting(), 0u);
}

TEST_F(RepairPlannerTest, ConformFails_AgainAfterAWhile) {
  AddServers(3);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kStray}});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  planner_.OnDone(tasks[0], MakeError(v1::UNREACHABLE, ""), now_);
  EXPECT_TRUE(Plan().empty());
  Pass(seconds(6), {1, 2, 3});
  EXPECT_EQ(Plan().size(), 1u);
}

TEST_F(RepairPlannerTest, Damaged_RebuiltInPlaceOutsideSafeMode) {
  AddServers(3);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kDamaged}});
  EXPECT_TRUE(Plan(true).empty());
  Pass(seconds(6), {1, 2, 3});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kCopy);
  EXPECT_EQ(tasks[0].server, ServerId(3));
  EXPECT_EQ(tasks[0].sources, (std::vector<ServerId>{ServerId(1), ServerId(2)}));
}

TEST_F(RepairPlannerTest, ServerLost_CopyAfterTheGraceOutsideSafeMode) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kGood}});
  Plan();
  Pass(seconds(3), {1, 2, 4});
  EXPECT_TRUE(Plan().empty());
  Pass(seconds(6), {1, 2, 4});
  EXPECT_TRUE(Plan(true).empty());
  Pass(seconds(4), {1, 2, 4});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kCopy);
  EXPECT_EQ(tasks[0].server, ServerId(4));
  Pass(seconds(10), {1, 2, 4});
  EXPECT_TRUE(Plan().empty()) << "one copy is enough";
  planner_.OnDone(tasks[0], absl::OkStatus(), now_);
  EXPECT_TRUE(Plan().empty());
}

TEST_F(RepairPlannerTest, ServerLost_LookedAtDuringTheGrace_CopiedWhenItEnds) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood}, {2, ReplicaHealth::kGood}, {3, ReplicaHealth::kGood}});
  Plan();
  Pass(seconds(3), {1, 2, 4});
  planner_.LookAtServer(ServerId(3), now_);
  EXPECT_TRUE(Plan().empty());
  Pass(seconds(3), {1, 2, 4});
  planner_.LookAtServer(ServerId(3), now_);
  EXPECT_TRUE(Plan().empty());
  Pass(seconds(2), {1, 2, 4});
  EXPECT_EQ(Plan().size(), 1u);
}

TEST_F(RepairPlannerTest, NoSource_NothingIsInvented) {
  AddServers(3);
  AddChunk({{1, ReplicaHealth::kDamaged}, {2, ReplicaHealth::kDamaged}});
  Pass(seconds(30), {1, 2, 3});
  EXPECT_TRUE(Plan().empty());
}

TEST_F(RepairPlannerTest, FourGood_FullestGivesUpIfAllAreConfirmed) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood},
            {2, ReplicaHealth::kGood},
            {3, ReplicaHealth::kGood},
            {4, ReplicaHealth::kGood}});
  chunks_.FindSealed(kChunk)->Unconfirm(servers_.SlotOf(ServerId(1)));
  EXPECT_TRUE(Plan().empty());
  chunks_.FindSealed(kChunk)->Set(servers_.SlotOf(ServerId(1)), ReplicaHealth::kGood);
  planner_.Look(kChunk, now_);
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kDelete);
  EXPECT_EQ(tasks[0].server, ServerId(4));
}

TEST_F(RepairPlannerTest, FourGood_AnswerToTheDeletionIsLost_NoOtherIsDeleted) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood},
            {2, ReplicaHealth::kGood},
            {3, ReplicaHealth::kGood},
            {4, ReplicaHealth::kGood}});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  ASSERT_EQ(tasks[0].server, ServerId(4));
  planner_.OnDone(tasks[0], MakeError(v1::UNREACHABLE, "no answer"), now_);
  Heartbeat(3, /*available_bytes=*/0);  // the fullest now
  now_ += seconds(1);
  tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kDelete);
  EXPECT_EQ(tasks[0].server, ServerId(4));
  planner_.OnDone(tasks[0], absl::OkStatus(), now_);
  EXPECT_TRUE(Plan().empty());
}

TEST_F(RepairPlannerTest, DeletionOvertakenByAReport_TheReportProvesNothing) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood},
            {2, ReplicaHealth::kGood},
            {3, ReplicaHealth::kGood},
            {4, ReplicaHealth::kGood}});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  const ServerId server = tasks[0].server;
  EXPECT_TRUE(planner_.MayBeDeleted(kChunk, server));
  Revive(server.value());  // registers anew, and reports
  planner_.OnDone(tasks[0], absl::OkStatus(), now_);
  EXPECT_TRUE(planner_.MayBeDeleted(kChunk, server)) << "the report may be on its way";
  servers_.SetReported(server);
  planner_.OnReported(server);
  EXPECT_FALSE(planner_.MayBeDeleted(kChunk, server));
}

TEST_F(RepairPlannerTest, DeletionAtAServerThatHasReported_IsSettledByItsAnswer) {
  AddServers(4);
  for (uint64_t id = 1; id <= 4; ++id) servers_.SetReported(ServerId(id));
  AddChunk({{1, ReplicaHealth::kGood},
            {2, ReplicaHealth::kGood},
            {3, ReplicaHealth::kGood},
            {4, ReplicaHealth::kGood}});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  planner_.OnReported(tasks[0].server);  // while it runs
  EXPECT_TRUE(planner_.MayBeDeleted(kChunk, tasks[0].server));
  planner_.OnDone(tasks[0], absl::OkStatus(), now_);
  EXPECT_FALSE(planner_.MayBeDeleted(kChunk, tasks[0].server));
}

TEST_F(RepairPlannerTest, StrayBesideThreeGood_Deleted) {
  AddServers(4);
  AddChunk({{1, ReplicaHealth::kGood},
            {2, ReplicaHealth::kGood},
            {3, ReplicaHealth::kGood},
            {4, ReplicaHealth::kStray}});
  auto tasks = Plan();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].kind, Kind::kDelete);
}

TEST_F(RepairPlannerTest, ManyChunks_FewCopiesAtOnce) {
  AddServers(3);
  for (uint64_t handle = 100; handle < 120; ++handle) {
    SealedChunk& chunk = chunks_.AddSealed(Record(ChunkHandle(handle)));
    for (uint64_t id : {1, 2}) chunk.Set(servers_.SlotOf(ServerId(id)), ReplicaHealth::kGood);
    planner_.Look(ChunkHandle(handle), now_);
  }
  EXPECT_TRUE(Plan().empty());
  Pass(seconds(7), {1, 2, 3});
  size_t done = 0;
  for (int round = 0; round < 100 && done < 20; ++round) {
    auto tasks = Plan();
    EXPECT_LE(tasks.size(), 4u);
    for (const RepairTask& task : tasks) planner_.OnDone(task, absl::OkStatus(), now_);
    done += tasks.size();
    Pass(seconds(1), {1, 2, 3});
  }
  EXPECT_EQ(done, 20u);
}

}  // namespace
}  // namespace appendfs
