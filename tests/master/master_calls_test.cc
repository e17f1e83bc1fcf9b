#include "master/rpc/master_calls.h"

#include <gmock/gmock.h>

#include "tests/master/master_fixture.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MasterCallsTest : public MasterFixture {
 protected:
  MasterCallsTest() : calls_(parts()) {
    client_ = Wait<v1::OpenSessionResponse>([&](auto reply) {
                calls_.OpenSession(SessionRequest(), std::move(reply));
              })->client_id();
  }

  template <class Response, class Call>
  absl::StatusOr<Response> Wait(Call call) {
    absl::StatusOr<Response> result = absl::UnknownError("no answer");
    absl::Notification answered;
    call(Reply<Response>([&](absl::StatusOr<Response> r) {
      result = std::move(r);
      answered.Notify();
    }));
    answered.WaitForNotification();
    return result;
  }
  absl::StatusOr<v1::MakeNodeResponse> Make(const v1::MakeNodeRequest& request) {
    return Wait<v1::MakeNodeResponse>(
        [&](auto reply) { calls_.MakeNode(request, std::move(reply)); });
  }
  uint64_t Make(const std::string& name, bool open = false) {
    v1::MakeNodeRequest request = MakeRequest(client_, ++sequence_, name);
    request.set_open(open);
    return Make(request).value().entry().attributes().inode();
  }
  absl::StatusOr<v1::UnlinkResponse> Unlink(const std::string& name) {
    v1::MetaOp op = UnlinkFileOp(client_, ++sequence_, name);
    return Wait<v1::UnlinkResponse>(
        [&](auto reply) { calls_.Unlink(op.unlink(), std::move(reply)); });
  }
  absl::StatusOr<v1::Entry> GetAttributes(uint64_t inode) {
    v1::GetAttributesRequest request;
    request.set_client_id(client_);
    request.set_inode(inode);
    return calls_.GetAttributes(request);
  }

  MasterCalls calls_;
  uint64_t client_ = 0, sequence_ = 0;
};

TEST_F(MasterCallsTest, OpenSession_Answer_NamesTheCluster) {
  absl::StatusOr<v1::OpenSessionResponse> response = Wait<v1::OpenSessionResponse>(
      [&](auto reply) { calls_.OpenSession(SessionRequest(), std::move(reply)); });
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->cluster_uuid(), opened_.cluster_uuid);
  EXPECT_EQ(response->incarnation(), 1u);
  EXPECT_EQ(response->session_timeout_ms(), 180'000u);
  EXPECT_EQ(response->chunk_bytes(), kDefaultChunkBytes);
  EXPECT_EQ(response->client_id(), client_ + 1);
}

TEST_F(MasterCallsTest, OpenSession_WrongClusterOrVersion_IsRefused) {
  auto open = [&](const v1::OpenSessionRequest& request) {
    return Wait<v1::OpenSessionResponse>(
               [&](auto reply) { calls_.OpenSession(request, std::move(reply)); })
        .status();
  };
  v1::OpenSessionRequest request = SessionRequest();
  request.set_cluster_uuid("another");
  EXPECT_TRUE(HasReason(open(request), v1::WRONG_CLUSTER));
  EXPECT_THAT(std::string(open(request).message()), HasSubstr("another"));
  request.clear_cluster_uuid();
  EXPECT_TRUE(open(request).ok());
  request.mutable_version()->set_lowest(7);
  request.mutable_version()->set_current(9);
  EXPECT_TRUE(HasReason(open(request), v1::VERSION_MISMATCH));
  EXPECT_THAT(std::string(open(request).message()), HasSubstr("7-9"));
  request.clear_version();
  EXPECT_TRUE(HasReason(open(request), v1::VERSION_MISMATCH));
  request = SessionRequest();
  request.set_description(std::string(5000, 'x'));
  EXPECT_TRUE(HasReason(open(request), v1::INVALID));
}

TEST_F(MasterCallsTest, UnknownClient_IsExpiredEverywhere) {
  client_ = 999;
  EXPECT_TRUE(HasReason(GetAttributes(1).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.Lookup({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.ReadLink({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.ReadDirectory({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.StatFs({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.Open({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.Release({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.GetPlan({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.ReportReplica({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(calls_.KeepAlive({}).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(Make(MakeRequest(999, 1, "f")).status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(Unlink("f").status(), v1::SESSION_EXPIRED));
  EXPECT_TRUE(HasReason(Wait<v1::OpenTailResponse>([&](auto reply) {
                          calls_.OpenTail({}, std::chrono::seconds(1), std::move(reply));
                        }).status(),
                        v1::SESSION_EXPIRED));
}

TEST_F(MasterCallsTest, Mutations_Answer_ShowInReads) {
  uint64_t file = Make("f");
  Allocate(file);
  v1::LookupRequest lookup;
  lookup.set_client_id(client_);
  lookup.set_parent(1);
  lookup.set_name("f");
  absl::StatusOr<v1::Entry> entry = calls_.Lookup(lookup);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->attributes().inode(), file);
  EXPECT_EQ(entry->tail().replicas(1).address(), "server-2");

  v1::SetAttributesRequest set;
  set.mutable_mutation()->set_client_id(client_);
  set.mutable_mutation()->set_sequence(++sequence_);
  set.set_inode(file);
  set.set_mode(0600);
  entry = Wait<v1::Entry>([&](auto reply) { calls_.SetAttributes(set, std::move(reply)); });
  EXPECT_EQ(entry->attributes().mode(), 0600u);
  EXPECT_EQ(entry->tail().replicas(0).address(), "server-1");

  v1::LinkRequest link;
  *link.mutable_mutation() = set.mutation();
  link.mutable_mutation()->set_sequence(++sequence_);
  link.set_inode(file);
  link.set_parent(1);
  link.set_name("g");
  entry = Wait<v1::Entry>([&](auto reply) { calls_.Link(link, std::move(reply)); });
  EXPECT_EQ(entry->attributes().nlink(), 2u);

  v1::RenameRequest rename;
  *rename.mutable_mutation() = link.mutation();
  rename.mutable_mutation()->set_sequence(++sequence_);
  rename.set_parent(1);
  rename.set_name("g");
  rename.set_new_parent(1);
  rename.set_new_name("h");
  absl::StatusOr<v1::RenameResponse> renamed =
      Wait<v1::RenameResponse>([&](auto reply) { calls_.Rename(rename, std::move(reply)); });
  EXPECT_EQ(renamed->inode(), file);
  EXPECT_GT(renamed->after().index(), 0u);
  ASSERT_EQ(renamed->after().entries_size(), 2);  // one parent, and what was renamed
  EXPECT_EQ(renamed->after().entries(0).attributes().inode(), 1u);
  EXPECT_EQ(renamed->after().entries(1).tail().replicas(0).address(), "server-1");
  renamed = Wait<v1::RenameResponse>([&](auto reply) { calls_.Rename(rename, std::move(reply)); });
  EXPECT_EQ(renamed->inode(), file);
  EXPECT_FALSE(renamed->has_after());

  v1::ReadDirectoryRequest read;
  read.set_client_id(client_);
  read.set_inode(1);
  read.set_with_entries(true);
  absl::StatusOr<v1::ReadDirectoryResponse> page = calls_.ReadDirectory(read);
  ASSERT_EQ(page->entries_size(), 2);
  EXPECT_EQ(page->entries(1).name(), "h");
  EXPECT_EQ(page->entries(1).entry().tail().replicas(0).address(), "server-1");
  EXPECT_TRUE(page->end());
  EXPECT_EQ(page->parent(), 1u);
}

TEST_F(MasterCallsTest, RemovedFile_ItsChunksGoToTheChunkManager) {
  uint64_t handle = Allocate(Make("f"));
  ASSERT_TRUE(Unlink("f").ok());
  EXPECT_THAT(chunks_.garbage(), ElementsAre(ChunkHandle(handle)));
}

TEST_F(MasterCallsTest, OpenFile_OutlivesItsName_UntilReleased) {
  uint64_t file = Make("f");
  uint64_t handle = Allocate(file);
  v1::OpenRequest open;
  open.set_client_id(client_);
  open.set_inode(file);
  absl::StatusOr<v1::FilePlan> plan = calls_.Open(open);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->chunks(0).replicas(0).address(), "server-1");
  ASSERT_TRUE(Unlink("f").ok());
  EXPECT_EQ(GetAttributes(file)->attributes().nlink(), 0u);
  EXPECT_TRUE(chunks_.garbage().empty());
  v1::ReleaseRequest release;
  release.set_client_id(client_);
  release.add_inodes(file);
  ASSERT_TRUE(calls_.Release(release).ok());
  Make("wait for the purge");
  EXPECT_TRUE(HasReason(GetAttributes(file).status(), v1::NO_ENTRY));
  EXPECT_THAT(chunks_.garbage(), ElementsAre(ChunkHandle(handle)));
}

TEST_F(MasterCallsTest, MadeOpen_IsOpenAlready_AlsoWhenSentAgain) {
  v1::MakeNodeRequest request = MakeRequest(client_, ++sequence_, "f");
  request.set_open(true);
  uint64_t file = Make(request)->entry().attributes().inode();
  EXPECT_EQ(Make(request)->entry().attributes().inode(), file);
  ASSERT_TRUE(Unlink("f").ok());
  EXPECT_TRUE(GetAttributes(file).ok());
}

TEST_F(MasterCallsTest, Open_WhatIsNoFile_IsRefusedAndNotRegistered) {
  v1::OpenRequest open;
  open.set_client_id(client_);
  open.set_inode(1);
  EXPECT_TRUE(HasReason(calls_.Open(open).status(), v1::IS_DIRECTORY));
  open.set_inode(12345);
  EXPECT_TRUE(HasReason(calls_.Open(open).status(), v1::NO_ENTRY));
  EXPECT_FALSE(files_.IsOpen(InodeId(1)));
  EXPECT_FALSE(files_.IsOpen(InodeId(12345)));
}

TEST_F(MasterCallsTest, CloseSession_ReleasesWhatWasOpen) {
  uint64_t file = Make("f", true);
  ASSERT_TRUE(Unlink("f").ok());
  EXPECT_TRUE(GetAttributes(file).ok());
  v1::CloseSessionRequest close;
  close.set_client_id(client_);
  ASSERT_TRUE(Wait<v1::CloseSessionResponse>([&](auto reply) {
                calls_.CloseSession(close, std::move(reply));
              }).ok());
  EXPECT_FALSE(files_.IsOpen(InodeId(file)));
  EXPECT_TRUE(HasReason(GetAttributes(file).status(), v1::SESSION_EXPIRED));
}

TEST_F(MasterCallsTest, OpenTail_Deadline_IsTheCallersAndBounded) {
  v1::OpenTailRequest request;
  request.set_client_id(client_);
  absl::StatusOr<v1::OpenTailResponse> response;
  auto ask = [&](Duration patience) {
    calls_.OpenTail(request, patience,
                    [&](absl::StatusOr<v1::OpenTailResponse> r) { response = std::move(r); });
  };
  ask(std::chrono::seconds(2));
  EXPECT_LT(chunks_.tail_deadline(), clock_.Monotonic() + std::chrono::seconds(2));
  EXPECT_GT(chunks_.tail_deadline(), clock_.Monotonic() + std::chrono::seconds(1));
  ask(std::chrono::hours(1));
  EXPECT_EQ(chunks_.tail_deadline(), clock_.Monotonic() + std::chrono::seconds(30));
  ask(std::chrono::milliseconds(1));
  EXPECT_EQ(chunks_.tail_deadline(), clock_.Monotonic());
  v1::Chunk chunk;
  chunk.set_handle(8);
  chunk.add_replicas()->set_server_id(3);
  chunks_.TakeTail()(chunk);
  EXPECT_EQ(response->tail().handle(), 8u);
  EXPECT_EQ(response->tail().replicas(0).address(), "server-3");
}

TEST_F(MasterCallsTest, StatFs_Space_IsOfUserData) {
  v1::StatFsRequest request;
  request.set_client_id(client_);
  absl::StatusOr<v1::StatFsResponse> response = calls_.StatFs(request);
  EXPECT_EQ(response->total_bytes(), 1000u);
  EXPECT_EQ(response->available_bytes(), 500u);
  EXPECT_EQ(response->files(), 1u);
}

TEST_F(MasterCallsTest, KeepAlive_Reclaim_RegistersWhatIsOpen) {
  uint64_t file = Make("f");
  v1::KeepAliveRequest request;
  request.set_client_id(client_);
  request.set_reclaim(true);
  request.add_open_inodes(file);
  EXPECT_EQ(calls_.KeepAlive(request)->incarnation(), 1u);
  EXPECT_TRUE(files_.IsOpen(InodeId(file)));
}

TEST_F(MasterCallsTest, ReportReplica_IsPassedOn) {
  v1::ReportReplicaRequest request;
  request.set_client_id(client_);
  request.set_handle(66);
  ASSERT_TRUE(calls_.ReportReplica(request).ok());
  EXPECT_EQ(chunks_.reported(), 66u);
}

}  // namespace
}  // namespace appendfs
