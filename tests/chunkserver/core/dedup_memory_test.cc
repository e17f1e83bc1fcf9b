#include "chunkserver/core/dedup_memory.h"

#include <gtest/gtest.h>

namespace appendfs {
namespace {

TEST(DedupMemory_NewClient, RemembersNothing) {
  DedupMemory memory;
  EXPECT_EQ(memory.Last(ClientId(1)), Sequence());
  EXPECT_EQ(memory.Find(ClientId(1), Sequence(1)), nullptr);
  EXPECT_TRUE(memory.HasRoomFor(ClientId(1)));
}

TEST(DedupMemory_Add, IsFoundBySequence) {
  DedupMemory memory;
  memory.Add(ClientId(1), {Sequence(3), FileOffset(100), 10});
  memory.Add(ClientId(1), {Sequence(7), FileOffset(200), 20});
  EXPECT_EQ(memory.Last(ClientId(1)), Sequence(7));
  ASSERT_NE(memory.Find(ClientId(1), Sequence(3)), nullptr);
  EXPECT_EQ(memory.Find(ClientId(1), Sequence(3))->offset, FileOffset(100));
  EXPECT_EQ(memory.Find(ClientId(1), Sequence(5)), nullptr);
  EXPECT_EQ(memory.Find(ClientId(2), Sequence(3)), nullptr);
}

TEST(DedupMemory_MoreThanTheBound, ForgetsTheOldest) {
  DedupMemory memory;
  for (uint64_t i = 1; i <= DedupMemory::kOutcomesPerClient + 1; ++i)
    memory.Add(ClientId(1), {Sequence(i), FileOffset(i), 1});
  EXPECT_EQ(memory.Find(ClientId(1), Sequence(1)), nullptr);
  EXPECT_NE(memory.Find(ClientId(1), Sequence(2)), nullptr);
}

TEST(DedupMemory_AllClientsTaken, HasRoomForKnownOnesOnly) {
  DedupMemory memory;
  for (uint64_t i = 1; i <= DedupMemory::kMaxClients; ++i)
    memory.Add(ClientId(i), {Sequence(1), FileOffset(i), 1});
  EXPECT_TRUE(memory.HasRoomFor(ClientId(5)));
  EXPECT_FALSE(memory.HasRoomFor(ClientId(DedupMemory::kMaxClients + 1)));
}

TEST(DedupMemory_ToProtoAndBack, IsTheSame) {
  DedupMemory memory;
  memory.Add(ClientId(9), {Sequence(1), FileOffset(0), 4});
  memory.Add(ClientId(2), {Sequence(5), FileOffset(4), 6});
  memory.Add(ClientId(9), {Sequence(2), FileOffset(10), 1});
  v1::DedupMemory proto = memory.ToProto();
  ASSERT_EQ(proto.clients_size(), 2);
  EXPECT_EQ(proto.clients(0).client_id(), 2u);
  EXPECT_EQ(DedupMemory(proto).ToProto().SerializeAsString(), proto.SerializeAsString());
}

}  // namespace
}  // namespace appendfs
