#include "chunkserver/engine/control.h"

#include <gtest/gtest.h>

#include "common/crc32c.h"
#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

class NoFetcher final : public ChunkFetcher {
 public:
  absl::StatusOr<FetchedBytes> Fetch(const std::string& address, ChunkHandle, Epoch, uint64_t,
                                     uint32_t) override {
    return MakeError(v1::UNREACHABLE, address);
  }
};

class ControlTest : public ::testing::Test {
 protected:
  ControlTest() {
    membership_.Registered({"c", ServerId(1), 1, 1});
    cluster_.store(1).RunByItself();
  }
  template <class Request>
  Request From(Request request) {
    request.mutable_origin()->set_cluster_uuid("c");
    request.mutable_origin()->set_server_id(1);
    request.mutable_origin()->set_incarnation(1);
    request.mutable_origin()->set_registration(1);
    return request;
  }
  v1::CreateChunksRequest Create(std::vector<uint64_t> handles) {
    v1::CreateChunksRequest request = From(v1::CreateChunksRequest());
    for (uint64_t handle : handles) {
      auto* item = request.add_items();
      item->set_handle(handle);
      item->set_inode(2);
      item->set_epoch(1);
      item->set_capacity(1000);
      item->add_members()->set_server_id(1);
      item->add_members()->set_server_id(2);
      item->set_primary_id(2);
    }
    return request;
  }

  TestCluster cluster_;
  NoFetcher fetcher_;
  Membership membership_{"", ServerId()};
  Conformer conformer_{cluster_.engine(1), cluster_.store(1), fetcher_};
  Control control_{cluster_.engine(1), cluster_.store(1), conformer_, membership_};
};

TEST_F(ControlTest, Create_ItemsAreAnsweredInOrder) {
  v1::CreateChunksRequest request = Create({10, 11, 12});
  request.mutable_items(1)->clear_members();
  v1::CreateChunksResponse response;
  ASSERT_TRUE(control_.CreateChunks(request, response).ok());
  ASSERT_EQ(response.items_size(), 3);
  EXPECT_FALSE(response.items(0).has_error());
  EXPECT_EQ(response.items(1).error().reason(), v1::INVALID);
  EXPECT_FALSE(response.items(2).has_error());
}

TEST_F(ControlTest, StaleCommand_IsRefusedAsAWhole) {
  v1::CreateChunksRequest request = Create({10});
  request.mutable_origin()->set_registration(0);
  v1::CreateChunksResponse response;
  EXPECT_EQ(ReasonOf(control_.CreateChunks(request, response)), v1::STALE_COMMAND);
  EXPECT_FALSE(cluster_.store(1).State(ChunkHandle(10)).ok());
}

TEST_F(ControlTest, Fence_AnswersLengthAndChecksum) {
  v1::CreateChunksResponse created;
  ASSERT_TRUE(control_.CreateChunks(Create({10}), created).ok());
  v1::FenceRequest request = From(v1::FenceRequest());
  for (uint64_t handle : {10, 99}) {
    request.add_items()->set_handle(handle);
    request.mutable_items()->rbegin()->set_epoch(2);
  }
  v1::FenceResponse response;
  ASSERT_TRUE(control_.Fence(request, response).ok());
  ASSERT_EQ(response.items_size(), 2);
  EXPECT_FALSE(response.items(0).has_error());
  EXPECT_EQ(response.items(0).durable_length(), 0u);
  EXPECT_EQ(response.items(0).crc32c(), Crc32c(""));
  EXPECT_EQ(response.items(1).error().reason(), v1::UNKNOWN_CHUNK);
}

TEST_F(ControlTest, Fence_OfAHalfCopiedReplica_AnswersWhatWasThereBefore) {
  v1::CreateChunksResponse created;
  ASSERT_TRUE(control_.CreateChunks(Create({10}), created).ok());
  cluster_.engine(1).Fence(ChunkHandle(10), Epoch(2),
                           [](auto state) { EXPECT_TRUE(state.ok()) << state.status(); });
  AppendBatch piece;  // of a copy: no client, so nobody would remember its batches
  piece.handle = ChunkHandle(10);
  piece.epoch = Epoch(2);
  piece.payload = Buffer::From("half a ba");
  piece.crc32c = Crc32c("half a ba");
  cluster_.engine(1).Apply(piece, [](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });

  v1::FenceRequest request = From(v1::FenceRequest());
  request.add_items()->set_handle(10);
  request.mutable_items(0)->set_epoch(3);
  v1::FenceResponse response;
  ASSERT_TRUE(control_.Fence(request, response).ok());
  EXPECT_FALSE(response.items(0).has_error());
  EXPECT_EQ(response.items(0).durable_length(), 0u);
  EXPECT_EQ(response.items(0).crc32c(), Crc32c(""));
}

TEST_F(ControlTest, ConformInspectDelete_OneChunkLater) {
  v1::CreateChunksResponse created;
  ASSERT_TRUE(control_.CreateChunks(Create({10}), created).ok());

  v1::ConformRequest conform = From(v1::ConformRequest());
  conform.add_items()->set_handle(10);
  conform.mutable_items(0)->set_inode(2);
  conform.mutable_items(0)->set_epoch(2);
  conform.mutable_items(0)->set_seal(true);
  v1::ConformResponse conformed;
  ASSERT_TRUE(control_.Conform(conform, conformed).ok());
  EXPECT_FALSE(conformed.items(0).has_error());

  v1::InspectRequest inspect;
  inspect.add_handles(10);
  inspect.add_handles(99);
  v1::InspectResponse seen;
  ASSERT_TRUE(control_.Inspect(inspect, seen).ok());
  EXPECT_TRUE(seen.items(0).sealed());
  EXPECT_EQ(seen.items(0).epoch(), 2u);
  EXPECT_EQ(seen.items(1).error().reason(), v1::UNKNOWN_CHUNK);

  v1::DeleteChunksRequest remove = From(v1::DeleteChunksRequest());
  remove.add_handles(10);
  remove.add_handles(99);
  v1::DeleteChunksResponse removed;
  ASSERT_TRUE(control_.DeleteChunks(remove, removed).ok());
  EXPECT_FALSE(removed.items(0).has_error());
  EXPECT_FALSE(removed.items(1).has_error());
}

}  // namespace
}  // namespace appendfs
