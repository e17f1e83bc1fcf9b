#include "tests/master/chunks/manager_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ManagerRepairTest : public ManagerTest {
 protected:
  // A file of one sealed chunk on three servers.
  v1::Chunk MakeSealed(const std::string& name, const std::string& bytes) {
    InodeId inode = MakeFile(name);
    auto chunk = OpenTail(inode);
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    WriteAll(*chunk, bytes);
    v1::ServerEvent event;
    event.set_kind(v1::ServerEvent::CHUNK_IS_FULL);
    event.set_handle(chunk->handle());
    event.set_epoch(chunk->epoch());
    fleet_[PrimaryOf(*chunk)].events.push_back(event);
    EXPECT_TRUE(
        time_.RunUntil([&] { return SealedCopies(chunk->handle(), bytes) == 3; }, seconds(2)));
    time_.RunFor(milliseconds(100));
    return Plan(inode).chunks(0);
  }
};

TEST_F(ManagerRepairTest, Repair_ServerGone_CopiedToAnotherAfterTheGrace) {
  StartCluster(4);
  v1::Chunk chunk = MakeSealed("a", "abc");
  ASSERT_EQ(chunk.replicas_size(), 3);
  size_t gone = NumberOf(chunk.replicas(0).server_id());
  fleet_.Kill(gone);
  time_.RunFor(seconds(4));
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 2u);
  EXPECT_EQ(Status().under_replicated_chunks(), 1u);
  EXPECT_EQ(Status().health(), "degraded");
  time_.RunFor(seconds(6));
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
  EXPECT_EQ(Status().under_replicated_chunks(), 0u);
  // The old replica returns and is one too many.
  fleet_.Start(gone);
  time_.RunFor(seconds(5));
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
}

TEST_F(ManagerRepairTest, Repair_ServerReturnsInTime_NothingCopied) {
  StartCluster(4);
  v1::Chunk chunk = MakeSealed("a", "abc");
  size_t gone = NumberOf(chunk.replicas(0).server_id());
  int conforms = 0;
  for (size_t i = 0; i < 4; ++i) conforms += fleet_[i].conforms;
  fleet_.Kill(gone);
  time_.RunFor(seconds(4));
  fleet_.Start(gone);
  time_.RunFor(seconds(10));
  for (size_t i = 0; i < 4; ++i) conforms -= fleet_[i].conforms;
  EXPECT_EQ(conforms, 0);
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
}

TEST_F(ManagerRepairTest, Repair_ReplicaReportedDamaged_RebuiltFromTheOthers) {
  StartCluster(3);
  v1::Chunk chunk = MakeSealed("a", "abc");
  size_t bad = NumberOf(chunk.replicas(1).server_id());
  fleet_[bad].replicas[chunk.handle()].damaged = true;
  v1::ServerEvent event;
  event.set_kind(v1::ServerEvent::REPLICA_BAD);
  event.set_handle(chunk.handle());
  fleet_[bad].events.push_back(event);
  time_.RunFor(seconds(2));
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
}

TEST_F(ManagerRepairTest, Repair_ClientFoundAFlippedByte_RebuiltFromTheOthers) {
  StartCluster(3);
  v1::Chunk chunk = MakeSealed("a", "abc");
  size_t bad = NumberOf(chunk.replicas(1).server_id());
  fleet_[bad].replicas[chunk.handle()].data = "abd";
  v1::ReportReplicaRequest report;
  report.set_handle(chunk.handle());
  report.set_server_id(fleet_[bad].id);
  report.set_reason(v1::CHECKSUM_MISMATCH);
  manager_->ReportReplica(report);
  EXPECT_EQ(Status().damaged_replicas(), 1u);
  time_.RunFor(seconds(2));
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
  EXPECT_EQ(Status().health(), "ok");
}

TEST_F(ManagerRepairTest, Repair_ReplicaMissedTheSeal_ConformedWhenItReturns) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  size_t primary = PrimaryOf(*chunk);
  WriteAll(*chunk, "abc");
  Write(*chunk, "never acknowledged", {primary});
  fleet_.Kill(primary);
  ASSERT_TRUE(OpenTail(inode, &*chunk).ok());
  fleet_.Start(primary);
  time_.RunFor(seconds(2));
  EXPECT_EQ(SealedCopies(chunk->handle(), "abc"), 3u) << "cut to the sealed length";
}

TEST_F(ManagerRepairTest, Repair_MasterRestarted_NothingCopiedInSafeMode) {
  StartCluster(4);
  v1::Chunk chunk = MakeSealed("a", "abc");
  fleet_.Kill(NumberOf(chunk.replicas(0).server_id()));
  StopMaster();
  StartMaster();
  time_.RunFor(seconds(25));
  EXPECT_TRUE(Status().safe_mode());
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 2u);
  time_.RunFor(seconds(15));
  EXPECT_FALSE(Status().safe_mode()) << "one server that stays away is no reason for ever";
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
}

TEST_F(ManagerRepairTest, Locations_MasterRestarted_LearnedAnewFromReports) {
  StartCluster(4);
  v1::Chunk chunk = MakeSealed("a", "abc");
  StopMaster();
  StartMaster();
  EXPECT_EQ(Plan(InodeId(chunk.inode())).chunks(0).replicas_size(), 3) << "as it was made";
  time_.RunFor(seconds(1));
  v1::Chunk located = Plan(InodeId(chunk.inode())).chunks(0);
  ASSERT_EQ(located.replicas_size(), 3);
  for (const v1::ServerAddress& replica : located.replicas())
    EXPECT_TRUE(ServerOf(replica).replicas.contains(chunk.handle()));
}

TEST_F(ManagerRepairTest, Locations_StrayMayHoldOtherBytes_NobodyIsSentThere) {
  StartCluster(4);
  v1::Chunk chunk = MakeSealed("a", "abc");
  size_t other = 0;
  while (fleet_[other].replicas.contains(chunk.handle())) ++other;
  // As long as it should be, and not sealed: the copy of a recovery given up.
  FakeServer::Replica copy =
      fleet_[NumberOf(chunk.replicas(0).server_id())].replicas.at(chunk.handle());
  copy.sealed = false;
  copy.data = "abX";
  fleet_.Kill(other);
  fleet_[other].replicas[chunk.handle()] = copy;
  fleet_.Start(other);
  for (int i = 0; i < 5000; ++i) {
    time_.RunFor(std::chrono::microseconds(100));
    const v1::Chunk located = Plan(InodeId(chunk.inode())).chunks(0);
    for (const v1::ServerAddress& replica : located.replicas())
      ASSERT_NE(NumberOf(replica.server_id()), other) << "after " << i;
  }
  EXPECT_EQ(SealedCopies(chunk.handle(), "abc"), 3u);
}

TEST_F(ManagerRepairTest, Garbage_FileRemoved_DeletedEverywhereAndForgotten) {
  StartCluster(3);
  v1::Chunk chunk = MakeSealed("a", "abc");
  auto open = OpenTail(InodeId(chunk.inode()));
  size_t away = NumberOf(chunk.replicas(0).server_id());
  fleet_.Kill(away);
  RemoveFile("a");
  time_.RunFor(seconds(3));
  EXPECT_EQ(fleet_.Holders(chunk.handle()).size(), 1u) << "on the server that is away";
  auto recorded = [&] {
    return *tables_->Snapshot()->Get(Table::kGarbage, layout::IdKey(ChunkHandle(chunk.handle())));
  };
  EXPECT_TRUE(recorded().has_value());
  fleet_.Start(away);
  time_.RunFor(seconds(3));
  EXPECT_TRUE(fleet_.Holders(chunk.handle()).empty());
  EXPECT_TRUE(fleet_.Holders(open->handle()).empty());
  EXPECT_FALSE(recorded().has_value());
  EXPECT_EQ(Status().chunks(), 0u);
}

TEST_F(ManagerRepairTest, Garbage_MasterRestarted_DeletedOutsideSafeMode) {
  StartCluster(3);
  v1::Chunk chunk = MakeSealed("a", "abc");
  size_t away = NumberOf(chunk.replicas(0).server_id());
  fleet_.Kill(away);
  RemoveFile("a");
  time_.RunFor(seconds(1));
  StopMaster();
  fleet_.Start(away);
  StartMaster();
  time_.RunFor(seconds(2));
  EXPECT_EQ(fleet_.Holders(chunk.handle()).size(), 1u);
  time_.RunFor(seconds(5));
  EXPECT_TRUE(fleet_.Holders(chunk.handle()).empty());
}

TEST_F(ManagerRepairTest, UnknownHandle_Reported_DeletedOutsideSafeModeOnly) {
  StartCluster(3);
  MakeSealed("a", "abc");
  StopMaster();
  // Reserved, created, and the master ended before it was logged.
  fleet_[0].replicas[900].data = "";
  StartMaster();
  time_.RunFor(seconds(2));
  EXPECT_TRUE(fleet_[0].replicas.contains(900));
  time_.RunFor(seconds(3));
  EXPECT_FALSE(fleet_[0].replicas.contains(900));
}

TEST_F(ManagerRepairTest, Register_WrongClusterOrNewerHandles_Refused) {
  StartCluster(3);
  auto refused = [&](v1::RegisterRequest request) {
    absl::Status status;
    request.set_address("x:1");
    manager_->Register(request, [&](absl::StatusOr<v1::RegisterResponse> response) {
      status = response.status();
    });
    time_.RunFor(milliseconds(10));
    return status;
  };
  v1::RegisterRequest wrong;
  wrong.set_cluster_uuid("other-uuid");
  absl::Status status = refused(wrong);
  EXPECT_TRUE(HasReason(status, v1::WRONG_CLUSTER));
  EXPECT_NE(status.message().find("other-uuid"), std::string::npos);
  EXPECT_NE(status.message().find("test-uuid"), std::string::npos);
  v1::RegisterRequest ahead;
  ahead.set_highest_handle(1'000'000);
  EXPECT_NE(refused(ahead).message().find("older than the cluster"), std::string::npos);
  v1::RegisterRequest unknown;
  unknown.set_server_id(77);
  EXPECT_FALSE(refused(unknown).ok());
}

TEST_F(ManagerRepairTest, Heartbeat_UnknownRegistration_RegisterAgain) {
  StartCluster(3);
  v1::HeartbeatRequest beat;
  beat.set_server_id(fleet_[0].id);
  beat.set_registration(99);
  EXPECT_TRUE(manager_->Heartbeat(beat).register_again());
}

}  // namespace
}  // namespace appendfs
