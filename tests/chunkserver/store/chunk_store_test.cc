// The chunk store as its users see it, with its threads, on a real directory.

#include "chunkserver/store/chunk_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/crc32c.h"
#include "tests/chunkserver/store/store_test_util.h"
#include "tests/common/temp_dir.h"

namespace appendfs {
namespace {

class ChunkStoreTest : public ::testing::Test {
 protected:
  ChunkStoreTest() { Open(); }

  void Open() {
    options_.segment_bytes = 1 << 20;
    options_.max_journal_bytes = 8 << 20;
    options_.reserved_bytes = 0;
    auto store = ChunkStore::Open(*fs_, clock_, directory_ / "store", options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    store_->Start(listener_);
  }
  void Reopen() {
    store_.reset();
    Open();
  }
  StoreCompletion Do(StoreChange change) {
    uint64_t token = ++token_;
    store_->Submit(std::move(change), token);
    return listener_.Wait(token);
  }
  std::string ReadAll(ChunkHandle handle) {
    auto read = store_->Read(handle, 0, 64 << 20);
    EXPECT_TRUE(read.ok()) << read.status();
    if (!read.ok()) return "";
    EXPECT_EQ(read->crc32c, Crc32c(read->payload.view()));
    return std::string(read->payload.view());
  }

  TempDir directory_;
  std::unique_ptr<FileSystem> fs_ = MakePosixFileSystem();
  SystemClock clock_;
  StoreOptions options_;
  RecordingListener listener_;
  std::unique_ptr<ChunkStore> store_;
  uint64_t token_ = 0;
};

constexpr ChunkHandle kChunk(5);

TEST_F(ChunkStoreTest, Append_Committed_IsRead) {
  ASSERT_TRUE(Do(MakeCreate(kChunk)).status.ok());
  StoreCompletion done = Do(MakeAppend(kChunk, 0, "hello "));
  ASSERT_TRUE(done.status.ok()) << done.status;
  EXPECT_EQ(done.durable_length, 6u);
  ASSERT_TRUE(Do(MakeAppend(kChunk, 6, "world")).status.ok());
  EXPECT_EQ(ReadAll(kChunk), "");
  store_->SetCommitted(kChunk, 8);
  EXPECT_EQ(ReadAll(kChunk), "hello wo");
  EXPECT_EQ(store_->Fetch(kChunk, 6, 100)->payload.view(), "world");
  store_->SetCommitted(kChunk, 11);
  EXPECT_EQ(ReadAll(kChunk), "hello world");
  EXPECT_EQ(*store_->PrefixCrc32c(kChunk, 11), Crc32c("hello world"));
  EXPECT_EQ(*store_->PrefixCrc32c(kChunk, 5), Crc32c("hello"));
}

TEST_F(ChunkStoreTest, Reopen_AfterOrderlyStop_KeepsAll) {
  ASSERT_TRUE(Do(MakeCreate(kChunk)).status.ok());
  ASSERT_TRUE(Do(MakeAppend(kChunk, 0, "hello ", ClientId(9), Sequence(3))).status.ok());
  store_->SetCommitted(kChunk, 6);
  Reopen();
  auto state = store_->State(kChunk);
  ASSERT_TRUE(state.ok());
  EXPECT_FALSE(state->damaged) << state->damage;
  EXPECT_EQ(state->durable_length, 6u);
  EXPECT_EQ(state->committed_length, 6u);
  ASSERT_EQ(state->memory.clients_size(), 1);
  EXPECT_EQ(state->memory.clients(0).outcomes(0).sequence(), 3u);
  EXPECT_EQ(ReadAll(kChunk), "hello ");
  ASSERT_TRUE(Do(MakeAppend(kChunk, 6, "again")).status.ok());
}

TEST_F(ChunkStoreTest, Append_ManyBatchesPastManySegments_AllThere) {
  ASSERT_TRUE(Do(MakeCreate(kChunk)).status.ok());
  std::string expected;
  uint64_t first = token_ + 1;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = RandomBytes(i, 1 + i * 7 % 20000);
    if (i % 100 == 99) {
      listener_.Wait(token_);
      store_->SetCommitted(kChunk, expected.size());
    }
    store_->Submit(MakeAppend(kChunk, expected.size(), bytes), ++token_);
    expected += bytes;
  }
  for (uint64_t token = first; token <= token_; ++token)
    ASSERT_TRUE(listener_.Wait(token).status.ok());
  store_->SetCommitted(kChunk, expected.size());
  EXPECT_EQ(ReadAll(kChunk), expected);
  EXPECT_EQ(*store_->PrefixCrc32c(kChunk, 100000), Crc32c(expected.substr(0, 100000)));
  Reopen();
  EXPECT_EQ(ReadAll(kChunk), expected);
}

// Readers meet appends, cuts, the applier and checkpoints; a block that did not
// match its checksum would be reported as damage.
TEST_F(ChunkStoreTest, Read_WhileAppendedCutAndApplied_NeverLooksDamaged) {
  constexpr uint64_t kChunks = 3;
  std::atomic<uint64_t> reads = 0;
  for (uint64_t i = 1; i <= kChunks; ++i) ASSERT_TRUE(Do(MakeCreate(ChunkHandle(i))).status.ok());
  auto read = [&](std::stop_token stop, uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop.stop_requested()) {
      const ChunkHandle handle(1 + random() % kChunks);
      auto result = store_->Fetch(handle, random() % 300000, 1 + random() % 200000);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) return;
      EXPECT_EQ(result->crc32c, Crc32c(result->payload.view()));
      ++reads;
    }
  };
  std::jthread readers[] = {std::jthread(read, 1), std::jthread(read, 2)};
  std::mt19937_64 random(3);
  std::vector<uint64_t> lengths(kChunks + 1, 0);
  for (int i = 0; i < 1500; ++i) {
    const ChunkHandle handle(1 + random() % kChunks);
    uint64_t& length = lengths[handle.value()];
    StoreCompletion done;
    if (length > 400000 || random() % 20 == 0) {
      length = random() % (length + 1);
      done = Do(ConformReplica{.handle = handle, .epoch = Epoch(1), .length = length});
    } else {
      std::string bytes = RandomBytes(random(), 1 + random() % 30000);
      done = Do(MakeAppend(handle, length, bytes));
      length += bytes.size();
      if (random() % 2) store_->SetCommitted(handle, length);
    }
    ASSERT_TRUE(done.status.ok()) << done.status;
    ASSERT_EQ(done.durable_length, length);
  }
  for (std::jthread& reader : readers) {
    reader.request_stop();
    reader.join();
  }
  EXPECT_GT(reads, 0u);
  for (uint64_t i = 1; i <= kChunks; ++i) EXPECT_FALSE(store_->State(ChunkHandle(i))->damaged);
}

TEST_F(ChunkStoreTest, Import_AfterDelete_IsThereAndSealed) {
  ASSERT_TRUE(Do(MakeCreate(kChunk)).status.ok());
  ASSERT_TRUE(Do(MakeAppend(kChunk, 0, "old")).status.ok());
  EXPECT_EQ(store_->BeginImport({.handle = kChunk}, Epoch(2)).status().code(),
            absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Do(DeleteReplica{kChunk}).status.ok());
  EXPECT_FALSE(Do(MakeCreate(kChunk)).status.ok());
  const std::string bytes = RandomBytes(1, 200000);
  {
    auto import = store_->BeginImport({.handle = kChunk, .inode = InodeId(3)}, Epoch(2));
    ASSERT_TRUE(import.ok()) << import.status();
    ASSERT_TRUE((*import)->Write(bytes.substr(0, 100)).ok());
    ASSERT_TRUE((*import)->Write(bytes.substr(100)).ok());
    EXPECT_FALSE(store_->State(kChunk).ok());
    EXPECT_FALSE((*import)->Finish(bytes.size(), Crc32c(bytes) + 1, 1, {}).ok());
    ASSERT_TRUE((*import)->Finish(bytes.size(), Crc32c(bytes), 1, {}).ok());
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ReadAll(kChunk), bytes);
    EXPECT_TRUE(store_->State(kChunk)->sealed);
    Reopen();
  }
}

TEST_F(ChunkStoreTest, Open_Twice_IsRefused) {
  EXPECT_FALSE(ChunkStore::Open(*fs_, clock_, directory_ / "store", options_).ok());
}

TEST_F(ChunkStoreTest, SetIdentity_OtherClusterOrServer_IsRefused) {
  EXPECT_EQ(store_->identity().cluster_uuid, "");
  ASSERT_TRUE(store_->SetIdentity({"uuid-1", ServerId(4)}).ok());
  Reopen();
  EXPECT_EQ(store_->identity().cluster_uuid, "uuid-1");
  EXPECT_EQ(store_->identity().server, ServerId(4));
  EXPECT_TRUE(store_->SetIdentity({"uuid-1", ServerId(4)}).ok());
  EXPECT_TRUE(HasReason(store_->SetIdentity({"uuid-2", ServerId(4)}), v1::WRONG_CLUSTER));
  EXPECT_TRUE(HasReason(store_->SetIdentity({"uuid-1", ServerId(5)}), v1::WRONG_SERVER));
}

}  // namespace
}  // namespace appendfs
