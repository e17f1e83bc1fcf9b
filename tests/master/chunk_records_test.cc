#include <gmock/gmock.h>

#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;

class ChunkRecordsTest : public ::testing::Test {
 protected:
  ChunkRecordsTest() { file_ = ns_.Make(kRoot, "f"); }

  v1::Entry EntryNow() { return GetEntry(ns_.tables(), InodeId(file_)).value(); }
  v1::FilePlan PlanNow() { return GetPlan(ns_.tables(), InodeId(file_), 0).value(); }
  v1::ChunkRecord ChunkNow(uint64_t handle) {
    return GetChunk(ns_.tables(), ChunkHandle(handle)).value().value_or(v1::ChunkRecord());
  }
  static v1::DedupMemory MemoryOf(uint64_t client, uint64_t sequence) {
    v1::DedupMemory memory;
    v1::ClientMemory& of = *memory.add_clients();
    of.set_client_id(client);
    of.add_outcomes()->set_sequence(sequence);
    return memory;
  }

  TinyNamespace ns_;
  uint64_t file_;
};

TEST_F(ChunkRecordsTest, FirstChunk_IsTheOpenTail) {
  EXPECT_FALSE(EntryNow().has_tail());
  uint64_t handle = ns_.Allocate(file_);
  v1::Chunk tail = EntryNow().tail();
  EXPECT_EQ(tail.handle(), handle);
  EXPECT_EQ(tail.inode(), file_);
  EXPECT_EQ(tail.epoch(), 1u);
  EXPECT_EQ(tail.state(), v1::OPEN);
  EXPECT_EQ(tail.primary_id(), 2u);
  EXPECT_EQ(tail.capacity(), 1000u);
  EXPECT_EQ(tail.replicas_size(), 3);
}

TEST_F(ChunkRecordsTest, Roll_SealsAndGoesOnBehind) {
  uint64_t first = ns_.Allocate(file_);
  ns_.Seal(first, 400, 5000);
  EXPECT_FALSE(EntryNow().has_tail());
  EXPECT_EQ(EntryNow().attributes().sealed_bytes(), 400u);
  EXPECT_EQ(EntryNow().attributes().mtime_ns(), 5000u);
  EXPECT_EQ(EntryNow().attributes().ctime_ns(), 5000u);
  uint64_t second = ns_.Allocate(file_, first);
  v1::FilePlan plan = PlanNow();
  ASSERT_EQ(plan.chunks_size(), 2);
  EXPECT_EQ(plan.chunks(0).state(), v1::SEALED);
  EXPECT_EQ(plan.chunks(0).length(), 400u);
  EXPECT_EQ(plan.chunks(0).crc32c(), 77u);
  EXPECT_EQ(plan.chunks(0).epoch(), 2u);
  EXPECT_EQ(plan.chunks(0).primary_id(), 0u);
  EXPECT_EQ(plan.chunks(1).handle(), second);
  EXPECT_EQ(plan.chunks(1).index(), 1u);
  EXPECT_EQ(plan.chunks(1).base_offset(), 400u);
  EXPECT_EQ(GetPlan(ns_.tables(), InodeId(file_), 1)->chunks_size(), 1);
}

TEST_F(ChunkRecordsTest, Memory_IsHandedToTheNextChunk) {
  uint64_t first = ns_.Allocate(file_);
  ASSERT_FALSE(ns_.Run(ns_.RecoverOp(first, 2)).has_error());
  v1::MetaOp seal = ns_.SealOp(first, 2, 10);
  *seal.mutable_seal_chunk()->mutable_memory() = MemoryOf(4, 44);
  ASSERT_FALSE(ns_.Run(seal).has_error());
  EXPECT_EQ(FindInode(ns_.tables(), InodeId(file_)).value()->memory().clients_size(), 1);
  uint64_t second = ns_.Allocate(file_, first);
  EXPECT_EQ(ChunkNow(second).memory().clients(0).client_id(), 4u);
  EXPECT_EQ(ChunkNow(first).memory().clients_size(), 0);
  EXPECT_EQ(FindInode(ns_.tables(), InodeId(file_)).value()->memory().clients_size(), 0);
}

TEST_F(ChunkRecordsTest, EmptyChunk_IsDroppedAndItsMemoryKept) {
  uint64_t first = ns_.Allocate(file_);
  ns_.Seal(first, 10);
  uint64_t second = ns_.Allocate(file_, first);
  ASSERT_FALSE(ns_.Run(ns_.RecoverOp(second, 2)).has_error());
  v1::MetaOp seal = ns_.SealOp(second, 2, 0);
  *seal.mutable_seal_chunk()->mutable_memory() = MemoryOf(4, 44);
  v1::MetaResult result = ns_.Run(seal);
  EXPECT_THAT(result.garbage(), ElementsAre(second));
  EXPECT_EQ(result.chunk().chunk().state(), v1::SEALED);
  EXPECT_EQ(PlanNow().chunks_size(), 1);
  EXPECT_FALSE(EntryNow().has_tail());
  EXPECT_EQ(ns_.CountPairs(Table::kHandles), 1);
  uint64_t third = ns_.Allocate(file_, first);
  EXPECT_EQ(ChunkNow(third).chunk().index(), 1u);
  EXPECT_EQ(ChunkNow(third).memory().clients(0).client_id(), 4u);
}

TEST_F(ChunkRecordsTest, EmptyOnlyChunk_LeavesAnEmptyFile) {
  uint64_t first = ns_.Allocate(file_);
  uint64_t before = EntryNow().attributes().mtime_ns();
  ns_.Seal(first, 0, 99999);
  EXPECT_EQ(PlanNow().chunks_size(), 0);
  EXPECT_EQ(EntryNow().attributes().mtime_ns(), before);
  ns_.Allocate(file_, 0);
  EXPECT_EQ(PlanNow().chunks_size(), 1);
}

TEST_F(ChunkRecordsTest, ExplicitTime_HoldsUntilALaterAppend) {
  uint64_t first = ns_.Allocate(file_);
  v1::MetaOp set;
  ns_.Name(*set.mutable_set_attributes()->mutable_mutation());
  set.mutable_set_attributes()->set_inode(file_);
  set.mutable_set_attributes()->set_mtime_ns(1'000'000);
  ns_.Run(set);
  uint64_t set_at = ns_.now();
  ns_.Seal(first, 10, set_at - 1);
  EXPECT_EQ(EntryNow().attributes().mtime_ns(), 1'000'000u);
  uint64_t second = ns_.Allocate(file_, first);
  ns_.Seal(second, 10, set_at + 5);
  EXPECT_EQ(EntryNow().attributes().mtime_ns(), set_at + 5);
  uint64_t third = ns_.Allocate(file_, second);
  ns_.Seal(third, 10, set_at + 1);  // another server's clock: never back
  EXPECT_EQ(EntryNow().attributes().mtime_ns(), set_at + 5);
}

TEST_F(ChunkRecordsTest, Allocate_OutOfTurn_IsRefused) {
  uint64_t first = ns_.Allocate(file_);
  uint64_t next = ns_.Reserve();
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(file_, 0, next)), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(file_, first, next)), v1::INVALID);  // not sealed
  ns_.Seal(first, 1);
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(file_, first, first)), v1::INVALID);     // used
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(file_, first, next + 1)), v1::INVALID);  // not reserved
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(file_, first, 0)), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(999, 0, next)), v1::NO_ENTRY);
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(kRoot, 0, next)), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.AllocateOp(file_, first, next)), v1::REASON_UNSPECIFIED);
}

TEST_F(ChunkRecordsTest, Allocate_BadMembers_IsRefused) {
  uint64_t handle = ns_.Reserve();
  auto with = [&](std::vector<uint64_t> members, uint64_t primary, uint64_t capacity) {
    v1::MetaOp op = ns_.AllocateOp(file_, 0, handle);
    op.mutable_allocate_chunk()->clear_members();
    for (uint64_t member : members) op.mutable_allocate_chunk()->add_members(member);
    op.mutable_allocate_chunk()->set_primary_id(primary);
    op.mutable_allocate_chunk()->set_capacity(capacity);
    return ns_.ReasonRun(op);
  };
  EXPECT_EQ(with({1}, 1, 10), v1::INVALID);
  EXPECT_EQ(with({1, 1}, 1, 10), v1::INVALID);
  EXPECT_EQ(with({0, 1}, 1, 10), v1::INVALID);
  EXPECT_EQ(with({1, 2, 3, 4}, 1, 10), v1::INVALID);
  EXPECT_EQ(with({1, 2}, 3, 10), v1::INVALID);
  EXPECT_EQ(with({1, 2}, 1, 0), v1::INVALID);
  EXPECT_EQ(with({1, 2}, 1, 10), v1::REASON_UNSPECIFIED);
}

TEST_F(ChunkRecordsTest, Recovery_EpochsRiseByOne) {
  uint64_t handle = ns_.Allocate(file_);
  EXPECT_EQ(ns_.ReasonRun(ns_.RecoverOp(handle, 1)), v1::STALE_EPOCH);
  EXPECT_EQ(ns_.ReasonRun(ns_.RecoverOp(handle, 3)), v1::STALE_EPOCH);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 1, 10)), v1::STALE_EPOCH);  // not fenced
  v1::MetaResult result = ns_.Run(ns_.RecoverOp(handle, 2));
  EXPECT_EQ(result.chunk().chunk().state(), v1::RECOVERING);
  EXPECT_EQ(result.chunk().chunk().primary_id(), 0u);
  EXPECT_EQ(EntryNow().tail().state(), v1::RECOVERING);
  EXPECT_EQ(ns_.ReasonRun(ns_.RecoverOp(handle, 3)), v1::REASON_UNSPECIFIED);  // begun again
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 2, 10)), v1::STALE_EPOCH);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 3, 1001)), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 3, 10)), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 3, 10)), v1::CHUNK_SEALED);
  EXPECT_EQ(ns_.ReasonRun(ns_.RecoverOp(handle, 4)), v1::CHUNK_SEALED);
  EXPECT_EQ(ns_.ReasonRun(ns_.RecoverOp(12345, 2)), v1::UNKNOWN_CHUNK);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(12345, 2, 0)), v1::UNKNOWN_CHUNK);
}

TEST_F(ChunkRecordsTest, Park_LengthIsThereUntilItIsReopened) {
  uint64_t handle = ns_.Allocate(file_);
  v1::MetaOp park;
  park.mutable_park_chunk()->set_handle(handle);
  park.mutable_park_chunk()->set_epoch(1);
  EXPECT_EQ(ns_.ReasonRun(park), v1::STALE_EPOCH) << "not fenced";
  ns_.Run(ns_.RecoverOp(handle, 2));
  park.mutable_park_chunk()->set_epoch(2);
  park.mutable_park_chunk()->set_length(1001);
  EXPECT_EQ(ns_.ReasonRun(park), v1::INVALID);
  park.mutable_park_chunk()->set_length(10);
  park.mutable_park_chunk()->set_crc32c(7);
  park.mutable_park_chunk()->set_mtime_ns(1ull << 60);
  EXPECT_EQ(ns_.ReasonRun(park), v1::REASON_UNSPECIFIED);
  v1::Entry entry = EntryNow();
  EXPECT_EQ(entry.tail().state(), v1::PARKED);
  EXPECT_EQ(entry.tail().length(), 10u);
  EXPECT_EQ(entry.attributes().mtime_ns(), 1ull << 60);
  EXPECT_EQ(entry.attributes().sealed_bytes(), 0u);

  ns_.Run(ns_.RecoverOp(handle, 3));
  EXPECT_EQ(EntryNow().tail().length(), 0u);
  v1::MetaOp reopen;
  reopen.mutable_reopen_chunk()->set_handle(handle);
  reopen.mutable_reopen_chunk()->set_epoch(3);
  reopen.mutable_reopen_chunk()->set_length(10);
  reopen.mutable_reopen_chunk()->set_primary_id(99);
  EXPECT_EQ(ns_.ReasonRun(reopen), v1::INVALID) << "no member";
  const uint64_t member = EntryNow().tail().replicas(1).server_id();
  reopen.mutable_reopen_chunk()->set_primary_id(member);
  v1::MetaResult result = ns_.Run(reopen);
  EXPECT_EQ(result.chunk().chunk().state(), v1::OPEN);
  EXPECT_EQ(result.chunk().chunk().primary_id(), member);
  EXPECT_EQ(result.chunk().chunk().epoch(), 3u);
  EXPECT_EQ(ns_.ReasonRun(reopen), v1::STALE_EPOCH) << "once";
}

TEST_F(ChunkRecordsTest, Seal_OfAParkedChunk_OnlyAsItIs) {
  uint64_t handle = ns_.Allocate(file_);
  ns_.Run(ns_.RecoverOp(handle, 2));
  v1::MetaOp park;
  park.mutable_park_chunk()->set_handle(handle);
  park.mutable_park_chunk()->set_epoch(2);
  park.mutable_park_chunk()->set_length(10);
  ns_.Run(park);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 2, 9)), v1::STALE_EPOCH);
  EXPECT_EQ(ns_.ReasonRun(ns_.SealOp(handle, 1, 10)), v1::STALE_EPOCH);
  v1::MetaOp seal = ns_.SealOp(handle, 2, 10);
  seal.mutable_seal_chunk()->clear_crc32c();
  EXPECT_EQ(ns_.ReasonRun(seal), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(EntryNow().attributes().sealed_bytes(), 10u);
}

TEST_F(ChunkRecordsTest, Removal_MakesEveryChunkGarbageWithItsServers) {
  uint64_t first = ns_.Allocate(file_);
  ns_.Seal(first, 10);
  uint64_t second = ns_.Allocate(file_, first);
  v1::MetaResult result = ns_.Run(ns_.UnlinkOp(kRoot, "f"));
  EXPECT_THAT(result.garbage(), ElementsAre(first, second));
  EXPECT_EQ(ns_.CountPairs(Table::kChunks), 0);
  EXPECT_EQ(ns_.CountPairs(Table::kHandles), 0);
  EXPECT_EQ(ns_.CountPairs(Table::kGarbage), 2);
  EXPECT_EQ(ns_.ReasonRun(ns_.RecoverOp(second, 2)), v1::UNKNOWN_CHUNK);
  v1::MetaOp forget;
  forget.mutable_forget_garbage()->add_handles(first);
  ASSERT_FALSE(ns_.Run(forget).has_error());
  EXPECT_EQ(ns_.CountPairs(Table::kGarbage), 1);
}

TEST_F(ChunkRecordsTest, ScanChunks_VisitsEveryFilesChunks) {
  uint64_t first = ns_.Allocate(file_);
  uint64_t other = ns_.Allocate(ns_.Make(kRoot, "g"));
  std::vector<uint64_t> seen;
  ASSERT_TRUE(ScanChunks(ns_.tables(), [&](const v1::ChunkRecord& record) {
                seen.push_back(record.chunk().handle());
                return true;
              }).ok());
  EXPECT_THAT(seen, ElementsAre(first, other));
}

TEST_F(ChunkRecordsTest, Plan_OfWhatIsNoFile_IsRefused) {
  EXPECT_EQ(ReasonOf(GetPlan(ns_.tables(), kRootInode, 0).status()), v1::IS_DIRECTORY);
  uint64_t fifo = ns_.Make(kRoot, "p", v1::FIFO);
  EXPECT_EQ(ReasonOf(GetPlan(ns_.tables(), InodeId(fifo), 0).status()), v1::INVALID);
  EXPECT_EQ(ReasonOf(GetPlan(ns_.tables(), InodeId(999), 0).status()), v1::NO_ENTRY);
}

}  // namespace
}  // namespace appendfs
