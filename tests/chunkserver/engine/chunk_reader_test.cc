#include "chunkserver/engine/chunk_reader.h"

#include <gtest/gtest.h>

#include <optional>

#include "common/crc32c.h"
#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

constexpr ChunkHandle kHandle = TestCluster::kHandle;

// "hello " is committed everywhere; "you" is durable everywhere, but the
// replicas have not heard that it is committed.
class ChunkReaderTest : public ::testing::Test {
 protected:
  ChunkReaderTest() {
    cluster_.CreateEverywhere();
    client_ = std::make_shared<RecordingClient>();
    stream_ = cluster_.engine(1).AddClient(client_);
    cluster_.Append(1, cluster_.Batch(stream_, 1, "hello "));
    cluster_.Settle();
    cluster_.Append(1, cluster_.Batch(stream_, 2, "you"));
    cluster_.Network();
    for (int server : {2, 3}) cluster_.store(server).Complete();
    cluster_.Cut(1, 2);  // the commit never arrives
    cluster_.Settle();
  }
  v1::ReadRequest Request(uint64_t offset, uint32_t length) {
    v1::ReadRequest request;
    request.set_handle(kHandle.value());
    request.set_epoch(1);
    request.set_offset(offset);
    request.set_length(length);
    return request;
  }
  absl::StatusOr<ReadResult> Read(int server, const v1::ReadRequest& request) {
    ChunkReader reader(cluster_.engine(server), cluster_.store(server));
    std::optional<absl::StatusOr<ReadResult>> result;
    reader.Read(request, [&](absl::StatusOr<ReadResult> r) { result = std::move(r); });
    cluster_.Settle();
    return result ? *std::move(result) : MakeError(v1::TIMED_OUT, "not answered");
  }

  TestCluster cluster_;
  std::shared_ptr<RecordingClient> client_;
  StreamId stream_;
};

TEST_F(ChunkReaderTest, Read_AtThePrimary_GivesAllThatIsCommitted) {
  absl::StatusOr<ReadResult> result = Read(1, Request(0, 100));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->payload.view(), "hello you");
  EXPECT_EQ(result->crc32c, Crc32c("hello you"));
  EXPECT_EQ(result->committed_length, 9u);
}

TEST_F(ChunkReaderTest, Read_ReplicaBehind_StopsAtItsCommittedLength) {
  absl::StatusOr<ReadResult> result = Read(2, Request(0, 100));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->payload.view(), "hello ");
  EXPECT_EQ(result->committed_length, 6u);
}

TEST_F(ChunkReaderTest, Read_ReplicaBehind_KnownLength_ServesDurableBytes) {
  v1::ReadRequest request = Request(3, 100);
  request.set_known_length(8);
  absl::StatusOr<ReadResult> result = Read(2, request);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->payload.view(), "lo yo");
  EXPECT_EQ(result->committed_length, 8u);
}

TEST_F(ChunkReaderTest, Read_KnownLengthOfAnotherEpoch_IsOfNoUse) {
  v1::ReadRequest request = Request(0, 100);
  request.set_known_length(9);
  request.set_epoch(2);
  EXPECT_EQ(Read(2, request)->payload.view(), "hello ");
}

TEST_F(ChunkReaderTest, Read_Fresh_OnlyAtThePrimary) {
  v1::ReadRequest request = Request(0, 100);
  request.set_fresh(true);
  EXPECT_EQ(Read(1, request)->payload.view(), "hello you");
  EXPECT_EQ(ReasonOf(Read(2, request).status()), v1::NOT_PRIMARY);
}

TEST_F(ChunkReaderTest, Read_FreshOfASealedChunk_IsRefused) {
  cluster_.engine(1).Apply(ConformReplica{kHandle, Epoch(2), 9, true, 0, {}}, [](absl::Status) {});
  cluster_.Settle();
  cluster_.engine(1).Reload(kHandle);
  v1::ReadRequest request = Request(0, 100);
  EXPECT_EQ(Read(1, request)->payload.view(), "hello you");
  request.set_fresh(true);
  EXPECT_EQ(ReasonOf(Read(1, request).status()), v1::CHUNK_SEALED);
}

TEST_F(ChunkReaderTest, Read_TooMuch_IsInvalid) {
  EXPECT_EQ(ReasonOf(Read(1, Request(0, ChunkReader::kMaxBytes + 1)).status()), v1::INVALID);
}

TEST_F(ChunkReaderTest, Fetch_GivesDurableBytesUnderThePromisedEpochOnly) {
  ChunkReader reader(cluster_.engine(2), cluster_.store(2));
  v1::FetchRequest request;
  request.set_handle(kHandle.value());
  request.set_epoch(1);
  request.set_length(100);
  EXPECT_EQ(reader.Fetch(request)->payload.view(), "hello you");
  request.set_epoch(2);
  EXPECT_EQ(ReasonOf(reader.Fetch(request).status()), v1::STALE_EPOCH);
  request.set_handle(99);
  EXPECT_EQ(ReasonOf(reader.Fetch(request).status()), v1::UNKNOWN_CHUNK);
}

TEST_F(ChunkReaderTest, TailLengths_AnswersEveryItemInOrder) {
  ChunkReader reader(cluster_.engine(1), cluster_.store(1));
  v1::TailLengthsRequest request;
  for (uint64_t handle : {kHandle.value(), uint64_t{99}}) {
    auto* item = request.add_items();
    item->set_handle(handle);
    item->set_epoch(1);
  }
  std::optional<v1::TailLengthsResponse> response;
  reader.TailLengths(request, [&](v1::TailLengthsResponse r) { response = std::move(r); });
  cluster_.Settle();
  ASSERT_TRUE(response.has_value());
  ASSERT_EQ(response->items_size(), 2);
  EXPECT_EQ(response->items(0).length(), 9u);
  EXPECT_EQ(response->items(1).error().reason(), v1::UNKNOWN_CHUNK);
  EXPECT_EQ(response->items(1).handle(), 99u);
}

TEST_F(ChunkReaderTest, TailLengths_OfNothing_IsAnswered) {
  ChunkReader reader(cluster_.engine(1), cluster_.store(1));
  bool answered = false;
  reader.TailLengths({}, [&](v1::TailLengthsResponse) { answered = true; });
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace appendfs
