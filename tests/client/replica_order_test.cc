#include "client/replica_order.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/local_host.h"

namespace appendfs {
namespace {

class ManualClock final : public Clock {
 public:
  Duration Monotonic() const override { return now; }
  uint64_t WallNanos() const override { return 0; }
  Duration now = std::chrono::seconds(100);
};

class ReplicaOrderTest : public testing::Test {
 protected:
  std::vector<uint64_t> Order(v1::ChunkState state = v1::SEALED, uint64_t offset = 0) {
    Piece piece{.offset = offset};
    piece.chunk.set_handle(9);  // whose rotation begins with the first
    piece.chunk.set_state(state);
    piece.chunk.set_primary_id(3);
    for (uint64_t id = 1; id <= 3; ++id) {
      v1::ServerAddress& replica = *piece.chunk.add_replicas();
      replica.set_server_id(id);
      replica.set_address("s" + std::to_string(id));
    }
    std::vector<uint64_t> ids;
    for (const v1::ServerAddress& replica : order_.Order(piece)) ids.push_back(replica.server_id());
    return ids;
  }

  using Ids = std::vector<uint64_t>;
  ManualClock clock_;
  std::string near_;
  ReplicaOrder order_{clock_, [this](const std::string& address) { return address == near_; }};
};

TEST_F(ReplicaOrderTest, Sealed_PartsOfTheFileSpread) {
  EXPECT_EQ(Order(), (Ids{1, 2, 3}));
  EXPECT_EQ(Order(v1::SEALED, 1 << 20), (Ids{1, 2, 3}));
  EXPECT_EQ(Order(v1::SEALED, 4 << 20), (Ids{2, 3, 1}));
}

TEST_F(ReplicaOrderTest, Open_PrimaryFirst) { EXPECT_EQ(Order(v1::OPEN).front(), 3u); }

TEST_F(ReplicaOrderTest, Near_First) {
  near_ = "s2";
  EXPECT_EQ(Order().front(), 2u);
}

TEST_F(ReplicaOrderTest, ClearlyBusier_Later) {
  for (int i = 0; i < 3; ++i) order_.Begin(ServerId(1));
  EXPECT_EQ(Order().front(), 1u);
  order_.Begin(ServerId(1));
  EXPECT_EQ(Order(), (Ids{2, 3, 1}));
  order_.End(ServerId(1));
  EXPECT_EQ(Order().front(), 1u);
}

TEST_F(ReplicaOrderTest, SilentOrBad_LastForAWhile) {
  near_ = "s1";
  order_.ShunSilent(ServerId(1));
  order_.ShunBad(ServerId(2), ChunkHandle(9));
  order_.ShunBad(ServerId(3), ChunkHandle(10));  // of another chunk
  EXPECT_EQ(Order(), (Ids{3, 1, 2}));
  clock_.now += std::chrono::seconds(2);
  EXPECT_EQ(Order(), (Ids{1, 3, 2}));
  clock_.now += std::chrono::seconds(10);
  EXPECT_EQ(Order(), (Ids{1, 2, 3}));
}

TEST(LocalHost, NamesAndAddressesOfThisHost) {
  EXPECT_TRUE(IsThisHost("localhost:9400"));
  EXPECT_TRUE(IsThisHost("127.0.0.1:9400"));
  EXPECT_FALSE(IsThisHost("no-such-host.example:9400"));
  EXPECT_FALSE(IsThisHost("203.0.113.7:9400"));
}

}  // namespace
}  // namespace appendfs
