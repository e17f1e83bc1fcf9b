// The client's small ledgers: mutation numbers, queue room, known sizes,
// chunk lists, status composition.
#include <gtest/gtest.h>

#include <thread>

#include "client/chunk_list.h"
#include "client/file_status.h"
#include "client/mutation_ids.h"
#include "client/queue_budget.h"
#include "common/interruption.h"

namespace appendfs {
namespace {

TEST(MutationIds, AnswersOutOfOrder_AnsweredBelowIsTheOldestStillRunning) {
  MutationIds ids;
  ids.Restart(ClientId(5));
  v1::MutationId first = ids.Begin();
  v1::MutationId second = ids.Begin();
  EXPECT_EQ(first.sequence(), 1u);
  EXPECT_EQ(first.answered_below(), 1u);
  EXPECT_EQ(second.answered_below(), 1u);
  ids.End(second);
  EXPECT_EQ(ids.Begin().answered_below(), 1u);
  ids.End(first);
  EXPECT_EQ(ids.Begin().answered_below(), 3u);
}

TEST(MutationIds, NewSession_BeginsAnewAndForgetsTheOldOnes) {
  MutationIds ids;
  ids.Restart(ClientId(5));
  v1::MutationId old = ids.Begin();
  ids.Restart(ClientId(6));
  v1::MutationId id = ids.Begin();
  EXPECT_EQ(id.client_id(), 6u);
  EXPECT_EQ(id.sequence(), 1u);
  ids.End(old);
  EXPECT_EQ(ids.Begin().answered_below(), 1u) << "the old session's end is nobody's business";
}

TEST(QueueBudget, FullQueue_WaitsForRoomOrGivesUp) {
  QueueBudget budget(100);
  EXPECT_TRUE(budget.Acquire(80, Duration::zero()));
  EXPECT_FALSE(budget.Acquire(30, std::chrono::milliseconds(1)));
  std::thread waiter([&budget] { EXPECT_TRUE(budget.Acquire(30, std::chrono::seconds(30))); });
  budget.Release(80);
  waiter.join();
  EXPECT_EQ(budget.used(), 30u);
}

TEST(QueueBudget, ManyWaiters_NothingIsTakenTwice) {
  QueueBudget budget(100);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&budget] {
      for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(budget.Acquire(40, std::chrono::seconds(30)));
        std::this_thread::yield();
        budget.Release(40);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(QueueBudget, RoomIsTakenByAnother_TheWaitGoesOn) {
  QueueBudget budget(100);
  std::atomic<int> refused = 0;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer)
    writers.emplace_back([&] {
      Interruption never;
      InterruptionScope scope(&never);
      for (int i = 0; i < 3000; ++i) {
        if (!budget.AwaitRoom(60, std::chrono::seconds(60)) ||
            !budget.Acquire(60, std::chrono::seconds(60))) {
          ++refused;
          continue;
        }
        std::this_thread::yield();
        budget.Release(60);
      }
    });
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(refused, 0) << "there was room again long before the minute was over";
  EXPECT_EQ(budget.used(), 0u);
}

TEST(QueueBudget, RecordLargerThanTheQueue_IsLetInAlone) {
  QueueBudget budget(10);
  EXPECT_TRUE(budget.Acquire(50, Duration::zero()));
  EXPECT_FALSE(budget.Acquire(1, Duration::zero()));
  budget.Release(50);
  EXPECT_TRUE(budget.Acquire(1, Duration::zero()));
}

TEST(KnownSize, SmallerAnswer_DoesNotShrinkIt) {
  KnownSize known;
  EXPECT_EQ(known.Raise(10), 10u);
  EXPECT_EQ(known.Raise(4), 10u);
}

v1::Chunk MakeChunk(uint32_t index, uint64_t base, v1::ChunkState state, uint64_t length) {
  v1::Chunk chunk;
  chunk.set_handle(100 + index);
  chunk.set_index(index);
  chunk.set_base_offset(base);
  chunk.set_state(state);
  chunk.set_length(length);
  chunk.set_capacity(1000);
  return chunk;
}

class ChunkListTest : public testing::Test {
 protected:
  ChunkListTest() {
    *plan_.add_chunks() = MakeChunk(0, 0, v1::SEALED, 30);
    *plan_.add_chunks() = MakeChunk(1, 30, v1::SEALED, 50);
    *plan_.add_chunks() = MakeChunk(2, 80, v1::OPEN, 0);
    list_.Merge(0, plan_);
  }
  v1::FilePlan plan_;
  ChunkList list_;
};

TEST_F(ChunkListTest, RangeOverChunks_IsCutAtTheirEdgesAndAtPieceMultiples) {
  auto pieces = list_.Cut(20, 80, 100, 40);
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  std::vector<std::tuple<uint64_t, uint64_t, uint32_t>> cut;
  for (const Piece& piece : *pieces)
    cut.emplace_back(piece.chunk.handle(), piece.offset, piece.length);
  EXPECT_EQ(cut, (std::vector<std::tuple<uint64_t, uint64_t, uint32_t>>{
                     {100, 20, 10}, {101, 0, 10}, {101, 10, 40}, {102, 0, 20}}));
  EXPECT_EQ(pieces->back().known_length, 20u);
}

TEST_F(ChunkListTest, RangeBeyondWhatIsKnown_IsStale) {
  EXPECT_TRUE(HasReason(list_.Cut(90, 20, 100, 40).status(), v1::STALE_EPOCH));
  v1::FilePlan sealed;
  *sealed.add_chunks() = MakeChunk(2, 80, v1::SEALED, 5);
  list_.Merge(2, sealed);
  EXPECT_TRUE(HasReason(list_.Cut(80, 20, 100, 40).status(), v1::STALE_EPOCH));
  EXPECT_EQ(list_.settled_end(), 85u);
}

TEST_F(ChunkListTest, EmptyTailDropped_SealedOnesStay) {
  list_.Merge(2, v1::FilePlan());
  ASSERT_NE(list_.last(), nullptr);
  EXPECT_EQ(list_.last()->index(), 1u);
  EXPECT_EQ(list_.settled_end(), 80u);
}

TEST(FileStatus, TailLength_ComesOnTopOfSealedBytes) {
  v1::Entry entry;
  entry.mutable_attributes()->set_type(v1::REGULAR);
  entry.mutable_attributes()->set_sealed_bytes(80);
  entry.mutable_attributes()->set_mtime_ns(10);
  *entry.mutable_tail() = MakeChunk(2, 80, v1::OPEN, 0);
  FileStatus status = ToFileStatus(entry, TailLength{20, 15});
  EXPECT_EQ(status.size, 100u);
  EXPECT_EQ(status.mtime_ns, 15u);
  EXPECT_TRUE(status.growing);
}

TEST(FileStatus, ExplicitTime_HoldsUntilTheNextAppend) {
  v1::Entry entry;
  entry.mutable_attributes()->set_mtime_ns(5);       // touch -d, long ago
  entry.mutable_attributes()->set_mtime_set_ns(50);  // done now
  *entry.mutable_tail() = MakeChunk(0, 0, v1::OPEN, 0);
  EXPECT_EQ(ToFileStatus(entry, TailLength{20, 40}).mtime_ns, 5u);
  EXPECT_EQ(ToFileStatus(entry, TailLength{20, 60}).mtime_ns, 60u);
}

}  // namespace
}  // namespace appendfs
