#include "tests/master/chunks/manager_fixture.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(ManagerTest, OpenTail_NewFile_ChunkOnThreeServers) {
  StartCluster(4);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->replicas_size(), 3);
  EXPECT_EQ(chunk->state(), v1::OPEN);
  EXPECT_EQ(fleet_.Holders(chunk->handle()).size(), 3u);
  for (const v1::ServerAddress& replica : chunk->replicas()) {
    EXPECT_EQ(ServerOf(replica).address, replica.address());
    EXPECT_EQ(ServerOf(replica).replicas[chunk->handle()].primary,
              replica.server_id() == chunk->primary_id());
  }
}

TEST_F(ManagerTest, OpenTail_AskedTwiceAtOnce_OneChunk) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto first = AskTail(inode), second = AskTail(inode);
  time_.RunFor(seconds(1));
  ASSERT_TRUE(first->answer && first->answer->ok());
  ASSERT_TRUE(second->answer && second->answer->ok());
  EXPECT_EQ((*first->answer)->handle(), (*second->answer)->handle());
  EXPECT_EQ(fleet_[0].creates, 1);
  auto third = OpenTail(inode);
  EXPECT_EQ(third->handle(), (*first->answer)->handle());
}

TEST_F(ManagerTest, OpenTail_ManyFiles_PrimariesSpread) {
  StartCluster(3);
  std::map<uint64_t, int> primaries;
  for (int i = 0; i < 30; ++i) primaries[OpenTail(MakeFile(StrCat("f", i)))->primary_id()]++;
  EXPECT_EQ(primaries.size(), 3u);
  for (auto [server, count] : primaries) EXPECT_EQ(count, 10) << "server " << server;
}

TEST_F(ManagerTest, OpenTail_NoSuchInode_NoEntry) {
  StartCluster(3);
  EXPECT_TRUE(HasReason(OpenTail(InodeId(999)).status(), v1::NO_ENTRY));
  EXPECT_TRUE(HasReason(OpenTail(kRootInode).status(), v1::INVALID));
}

TEST_F(ManagerTest, OpenTail_SessionEnded_SessionExpired) {
  StartCluster(3);
  sessions_.ended.insert(ClientId(1));
  EXPECT_TRUE(HasReason(OpenTail(MakeFile("a")).status(), v1::SESSION_EXPIRED));
}

TEST_F(ManagerTest, OpenTail_CreateFailsOnOne_ChunkOnTheOthersUnderAnotherHandle) {
  StartCluster(3);
  fleet_[1].refuse_creates = true;
  auto chunk = OpenTail(MakeFile("a"));
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->replicas_size(), 2);
  for (const v1::ServerAddress& replica : chunk->replicas())
    EXPECT_NE(replica.server_id(), fleet_[1].id);
  time_.RunFor(seconds(1));
  for (size_t i : {0u, 2u}) EXPECT_EQ(fleet_[i].replicas.size(), 1u) << "the first try is deleted";
}

TEST_F(ManagerTest, OpenTail_ServerJustDied_AnsweredWithinTensOfMilliseconds) {
  StartCluster(4);
  fleet_.Kill(2);
  const Duration asked = time_.Monotonic();
  auto chunk = OpenTail(MakeFile("a"));
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->replicas_size(), 3) << "the fourth server takes its place";
  EXPECT_LT(time_.Monotonic() - asked, milliseconds(50));
}

TEST_F(ManagerTest, OpenTail_ServerHangs_AnsweredWithoutIt) {
  StartCluster(3);
  fleet_[2].health = FakeServer::Health::kHung;
  const Duration asked = time_.Monotonic();
  auto chunk = OpenTail(MakeFile("a"));
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->replicas_size(), 2);
  EXPECT_LT(time_.Monotonic() - asked, milliseconds(500));
}

TEST_F(ManagerTest, OpenTail_EverybodyFull_NoSpaceAtOnce) {
  StartCluster(3);
  for (size_t i : {0u, 1u}) fleet_[i].available_bytes = 1000;
  time_.RunFor(seconds(1));
  const Duration asked = time_.Monotonic();
  EXPECT_TRUE(HasReason(OpenTail(MakeFile("a")).status(), v1::NO_SPACE));
  EXPECT_LT(time_.Monotonic() - asked, milliseconds(100));
}

TEST_F(ManagerTest, OpenTail_TooFewServers_QuorumLostAtTheDeadlineAndHealsWhenOneReturns) {
  StartCluster(3);
  fleet_.Kill(0);
  fleet_.Kill(1);
  time_.RunFor(seconds(3));
  InodeId inode = MakeFile("a");
  const Duration asked = time_.Monotonic();
  absl::Status status = OpenTail(inode, nullptr, v1::UNREACHABLE, seconds(2)).status();
  EXPECT_TRUE(HasReason(status, v1::QUORUM_LOST)) << status;
  EXPECT_NE(status.message().find("cs1:9410"), std::string::npos) << status;
  EXPECT_LT(time_.Monotonic() - asked, milliseconds(2100));
  auto pending = AskTail(inode);
  fleet_.Start(0);
  ASSERT_TRUE(time_.RunUntil([&] { return pending->answer.has_value(); }, seconds(1)));
  ASSERT_TRUE(pending->answer->ok()) << pending->answer->status();
  EXPECT_EQ((*pending->answer)->replicas_size(), 2);
}

TEST_F(ManagerTest, OpenTail_FileRemovedMeanwhile_NoEntryAndNothingLeft) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto pending = AskTail(inode);
  ASSERT_TRUE(time_.RunUntil([&] { return fleet_[0].creates == 1; }, seconds(1)));
  RemoveFile("a");
  ASSERT_TRUE(time_.RunUntil([&] { return pending->answer.has_value(); }, seconds(1)));
  EXPECT_TRUE(HasReason(pending->answer->status(), v1::NO_ENTRY)) << pending->answer->status();
  time_.RunFor(seconds(1));
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(fleet_[i].replicas.empty());
}

TEST_F(ManagerTest, OpenTail_MasterRestarted_SameChunk) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto before = OpenTail(inode);
  StopMaster();
  time_.RunFor(seconds(1));
  StartMaster();
  auto after = OpenTail(inode);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->handle(), before->handle());
  EXPECT_EQ(after->epoch(), before->epoch());
  for (const v1::ServerAddress& replica : after->replicas())
    EXPECT_FALSE(replica.address().empty());
  time_.RunFor(seconds(10));
  EXPECT_EQ(log_->recoveries, 0) << "nothing was wrong with it";
}

TEST_F(ManagerTest, OpenTail_NextChunk_MemoryHandedOnWithoutEndedSessions) {
  StartCluster(3);
  InodeId inode = MakeFile("a");
  auto chunk = OpenTail(inode);
  WriteAll(*chunk, "hello");
  for (uint64_t client : {1, 2}) {
    for (FakeServer::Replica* replica : fleet_.Holders(chunk->handle())) {
      v1::ClientMemory& memory = *replica->memory.add_clients();
      memory.set_client_id(client);
      memory.add_outcomes()->set_sequence(7);
    }
  }
  sessions_.ended.insert(ClientId(2));
  auto next = OpenTail(inode, &*chunk, v1::CHUNK_FULL);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->base_offset(), 5u);
  for (FakeServer::Replica* replica : fleet_.Holders(next->handle())) {
    ASSERT_EQ(replica->memory.clients_size(), 1);
    EXPECT_EQ(replica->memory.clients(0).client_id(), 1u);
  }
}

}  // namespace
}  // namespace appendfs
