#include "chunkserver/engine/conformer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/crc32c.h"
#include "tests/chunkserver/engine/test_cluster.h"

namespace appendfs {
namespace {

constexpr ChunkHandle kHandle = TestCluster::kHandle;
constexpr Epoch kFenced{2};

// Serves bytes of stores by their address; damaged ones on request.
class FakeFetcher final : public ChunkFetcher {
 public:
  absl::StatusOr<FetchedBytes> Fetch(const std::string& address, ChunkHandle handle, Epoch,
                                     uint64_t offset, uint32_t length) override {
    asked.push_back(address);
    auto store = stores.find(address);
    if (store == stores.end()) return MakeError(v1::UNREACHABLE, address);
    absl::StatusOr<ReadResult> result =
        store->second->Fetch(handle, offset, std::min<uint32_t>(length, 3));
    if (!result.ok()) return result.status();
    FetchedBytes bytes{result->payload, result->crc32c, result->durable_length};
    if (address == bad) ++bytes.crc32c;
    return bytes;
  }
  std::map<std::string, FakeChunkStore*> stores;
  std::string bad;
  std::vector<std::string> asked;
};

// Server 1 holds "hello you all", server 2 "hello you", server 3 nothing.
class ConformerTest : public ::testing::Test {
 protected:
  ConformerTest() {
    cluster_.engine(1).Create(cluster_.CreateFor(), [](absl::Status) {});
    cluster_.engine(2).Create(cluster_.CreateFor(), [](absl::Status) {});
    cluster_.Settle();
    cluster_.Cut(2, 1);
    auto client = std::make_shared<RecordingClient>();
    StreamId stream = cluster_.engine(1).AddClient(client);
    cluster_.Append(1, cluster_.Batch(stream, 1, "hello you"));
    cluster_.Settle();
    cluster_.Cut(1, 2);
    cluster_.Append(1, cluster_.Batch(stream, 2, " all"));
    cluster_.Settle();
    fetcher_.stores = {{"server-1", &cluster_.store(1)}, {"server-2", &cluster_.store(2)}};
    for (int server : {1, 2, 3}) cluster_.store(server).RunByItself();
  }

  ConformCommand To(std::string_view bytes, bool seal) {
    ConformCommand command;
    command.identity = {kHandle, InodeId(2), 1000, 0};
    command.epoch = kFenced;
    command.length = bytes.size();
    command.sources = {"server-1"};
    command.memory.add_clients()->set_client_id(5);
    command.mtime_ns = 77;
    command.seal = seal;
    command.check_crc = true;
    command.crc32c = Crc32c(bytes);
    return command;
  }
  absl::StatusOr<uint32_t> Conform(int server, ConformCommand command) {
    Conformer conformer(cluster_.engine(server), cluster_.store(server), fetcher_);
    return conformer.Conform(std::move(command));
  }
  void ExpectSealed(int server, std::string_view bytes) {
    absl::StatusOr<ReplicaState> state = cluster_.store(server).State(kHandle);
    ASSERT_TRUE(state.ok());
    EXPECT_TRUE(state->sealed);
    EXPECT_EQ(state->epoch, kFenced);
    EXPECT_EQ(state->mtime_ns, 77u);
    EXPECT_EQ(state->memory.clients_size(), 1);
    EXPECT_EQ(cluster_.store(server).Bytes(kHandle), bytes);
  }

  TestCluster cluster_;
  FakeFetcher fetcher_;
};

TEST_F(ConformerTest, Longer_IsCutAndSealed) {
  absl::StatusOr<uint32_t> crc = Conform(1, To("hello you", true));
  ASSERT_TRUE(crc.ok()) << crc.status();
  EXPECT_EQ(*crc, Crc32c("hello you"));
  ExpectSealed(1, "hello you");
  EXPECT_TRUE(fetcher_.asked.empty());
  EXPECT_EQ(cluster_.engine(1).PromisedEpoch(kHandle), Epoch());  // no longer open
}

TEST_F(ConformerTest, Shorter_FetchesWhatIsMissing) {
  ASSERT_TRUE(Conform(2, To("hello you all", true)).ok());
  ExpectSealed(2, "hello you all");
  EXPECT_EQ(fetcher_.asked.size(), 2u);
}

TEST_F(ConformerTest, Shorter_NotSealed_StaysOpenUnderTheNewEpoch) {
  ConformCommand command = To("hello you all", false);
  command.check_crc = false;
  absl::StatusOr<uint32_t> crc = Conform(2, command);
  ASSERT_TRUE(crc.ok()) << crc.status();
  EXPECT_EQ(*crc, Crc32c("hello you all"));
  EXPECT_EQ(cluster_.engine(2).PromisedEpoch(kHandle), kFenced);
  EXPECT_FALSE(cluster_.store(2).State(kHandle)->sealed);
}

TEST_F(ConformerTest, Absent_Sealed_IsCopied) {
  ASSERT_TRUE(Conform(3, To("hello you all", true)).ok());
  ExpectSealed(3, "hello you all");
}

TEST_F(ConformerTest, Absent_NotSealed_IsMadeAndFilled) {
  ASSERT_TRUE(Conform(3, To("hello you all", false)).ok());
  EXPECT_EQ(cluster_.store(3).Bytes(kHandle), "hello you all");
  EXPECT_EQ(cluster_.engine(3).PromisedEpoch(kHandle), kFenced);
}

TEST_F(ConformerTest, Damaged_Sealed_IsRebuilt) {
  cluster_.store(2).Damage(kHandle);
  cluster_.engine(2).OnReplicaDamaged(kHandle, "flipped byte");
  EXPECT_EQ(ReasonOf(Conform(2, To("hello you all", false)).status()), v1::REPLICA_DAMAGED);
  ASSERT_TRUE(Conform(2, To("hello you all", true)).ok());
  ExpectSealed(2, "hello you all");
}

// What a server holds that nobody agreed on: as much as there should be, or the
// copy of a recovery that was given up, which is shorter and begins otherwise.
class ConformerOtherBytesTest : public ConformerTest,
                                public ::testing::WithParamInterface<const char*> {
 protected:
  ConformerOtherBytesTest() {
    other_.engine(2).Create(other_.CreateFor(3, 2), [](absl::Status) {});
    other_.Settle();
    auto client = std::make_shared<RecordingClient>();
    other_.Append(2, other_.Batch(other_.engine(2).AddClient(client), 1, GetParam()));
    other_.Settle();
    other_.store(2).RunByItself();
  }

  TestCluster other_;
  Conformer conformer_{other_.engine(2), other_.store(2), fetcher_};
};
INSTANTIATE_TEST_SUITE_P(Held, ConformerOtherBytesTest,
                         ::testing::Values("HELLO YOU ALL", "hello YOU"));

TEST_P(ConformerOtherBytesTest, Sealed_AreReplacedByACopy) {
  ASSERT_TRUE(conformer_.Conform(To("hello you all", true)).ok());
  EXPECT_EQ(other_.store(2).Bytes(kHandle), "hello you all");
  EXPECT_TRUE(other_.store(2).State(kHandle)->sealed);
}

TEST_P(ConformerOtherBytesTest, NotSealed_AreDeletedAndPassForNothing) {
  EXPECT_FALSE(conformer_.Conform(To("hello you all", false)).ok());
  EXPECT_FALSE(other_.store(2).State(kHandle).ok());
  EXPECT_FALSE(other_.engine(2).PromisedEpoch(kHandle));
  ASSERT_TRUE(conformer_.Conform(To("hello you all", true)).ok());
  EXPECT_EQ(other_.store(2).Bytes(kHandle), "hello you all");
}

TEST_F(ConformerTest, Sealed_AskedAgain_ChangesNothing) {
  ASSERT_TRUE(Conform(1, To("hello you all", true)).ok());
  fetcher_.asked.clear();
  ASSERT_TRUE(Conform(1, To("hello you all", true)).ok());
  EXPECT_TRUE(fetcher_.asked.empty());
}

TEST_F(ConformerTest, OlderEpoch_IsRefused) {
  ASSERT_TRUE(Conform(2, To("hello you all", false)).ok());
  ConformCommand command = To("hello", true);
  command.epoch = Epoch(1);
  EXPECT_EQ(ReasonOf(Conform(2, command).status()), v1::STALE_EPOCH);
}

TEST_F(ConformerTest, Source_BadOrSilent_TheNextOneServes) {
  fetcher_.bad = "server-1";
  fetcher_.stores["server-4"] = &cluster_.store(1);
  ConformCommand command = To("hello you all", true);
  command.sources = {"server-9", "server-1", "server-4"};
  ASSERT_TRUE(Conform(2, command).ok());
  ExpectSealed(2, "hello you all");
}

TEST_F(ConformerTest, NoGoodSource_FailsAndKeepsWhatIsThere) {
  ConformCommand command = To("hello you all", true);
  command.sources = {"server-9"};
  EXPECT_EQ(ReasonOf(Conform(2, command).status()), v1::UNREACHABLE);
  EXPECT_EQ(cluster_.store(2).Bytes(kHandle), "hello you");
  EXPECT_EQ(cluster_.engine(2).PromisedEpoch(kHandle), kFenced);
}

TEST_F(ConformerTest, Empty_IsSealedAtZero) {
  ASSERT_TRUE(Conform(1, To("", true)).ok());
  ExpectSealed(1, "");
}

}  // namespace
}  // namespace appendfs
