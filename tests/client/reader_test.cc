#include "client/reader.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/crc32c.h"
#include "common/executor.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Chunkservers by address. Each answers from `content` unless told otherwise.
class FakeChunks final : public ChunkClient {
 public:
  struct Server {
    absl::Status error;    // of every read
    bool corrupt = false;  // flips a byte
    uint64_t behind = 0;   // bytes at the end it does not have
    bool hung = false;     // keeps its answers to itself
    absl::Status length_error;
    int reads = 0, questions = 0;
  };

  void Read(const std::string& address, const v1::ReadRequest& request, Duration,
            ReadDone done) override {
    absl::StatusOr<ReadReply> reply = Answer(address, request);
    {
      std::lock_guard lock(mutex);
      if (servers[address].hung) return kept_back.push_back(std::move(done));
    }
    std::move(done)(std::move(reply));
  }
  void AskLength(const std::string& address, ChunkHandle handle, Epoch, Duration,
                 LengthDone done) override {
    absl::StatusOr<TailLength> length = TailLength{};
    {
      std::lock_guard lock(mutex);
      ++servers[address].questions;
      if (on_question) on_question();
      if (!servers[address].error.ok())
        length = servers[address].error;
      else if (!servers[address].length_error.ok())
        length = servers[address].length_error;
      else
        length = TailLength{content[handle.value()].size(), 1, false};
    }
    std::move(done)(length);
  }

  std::mutex mutex;
  std::map<std::string, Server> servers;
  std::map<uint64_t, std::string> content;  // committed bytes by handle
  std::function<void()> on_question;
  std::vector<ReadDone> kept_back;

 private:
  absl::StatusOr<ReadReply> Answer(const std::string& address, const v1::ReadRequest& request) {
    std::lock_guard lock(mutex);
    Server& server = servers[address];
    ++server.reads;
    if (!server.error.ok()) return server.error;
    if (request.fresh() && !server.length_error.ok()) return server.length_error;
    const std::string& all = content[request.handle()];
    std::string bytes;
    uint64_t end = all.size() - std::min<uint64_t>(server.behind, all.size());
    if (request.offset() < end)
      bytes = all.substr(request.offset(),
                         std::min<uint64_t>(request.length(), end - request.offset()));
    ReadReply reply{end, Crc32c(bytes), Buffer()};
    if (server.corrupt && !bytes.empty()) bytes[bytes.size() / 2] ^= 1;
    reply.payload = Buffer::From(std::move(bytes));
    return reply;
  }
};

class FakePlans final : public PlanSource {
 public:
  absl::StatusOr<v1::FilePlan> GetPlan(InodeId, uint32_t from_index, Duration) override {
    ++asked;
    if (on_ask) on_ask();
    if (!error.ok()) return error;
    v1::FilePlan part;
    for (const v1::Chunk& chunk : plan.chunks())
      if (chunk.index() >= from_index) *part.add_chunks() = chunk;
    return part;
  }
  v1::FilePlan plan;
  absl::Status error;
  int asked = 0;
  std::function<void()> on_ask;
};

std::string Pattern(size_t bytes, int salt) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((i * 131 + salt + i / 251) & 0xff);
  return text;
}

class ReaderTest : public testing::Test {
 protected:
  ~ReaderTest() override { timers_.reset(); }  // before what it calls
  v1::Chunk& AddChunk(v1::ChunkState state, const std::string& bytes) {
    v1::Chunk& chunk = *plans_.plan.add_chunks();
    int index = plans_.plan.chunks_size() - 1;
    chunk.set_handle(100 + index);
    chunk.set_index(index);
    chunk.set_epoch(1);
    chunk.set_base_offset(all_.size());
    chunk.set_state(state);
    chunk.set_capacity(64 << 20);
    if (state == v1::SEALED) chunk.set_length(bytes.size());
    if (state == v1::OPEN) chunk.set_primary_id(1);
    for (int server = 1; server <= 3; ++server) {
      v1::ServerAddress& replica = *chunk.add_replicas();
      replica.set_server_id(server);
      replica.set_address("s" + std::to_string(server));
    }
    chunks_.content[chunk.handle()] = bytes;
    all_ += bytes;
    return chunk;
  }
  std::string Read(uint64_t offset, uint64_t length, Duration patience = seconds(20)) {
    absl::StatusOr<Buffer> bytes = reader_->Read(offset, length, clock_.Monotonic() + patience);
    last_ = bytes.status();
    return bytes.ok() ? std::string(bytes->view()) : "(error)";
  }
  bool Reported(uint64_t server, Reason reason) {
    std::lock_guard lock(mutex_);
    return reported_.count({server, reason}) > 0;
  }

  const SystemClock clock_;
  FakePlans plans_;
  FakeChunks chunks_;
  ReadaheadBudget budget_{64 << 20};
  std::mutex mutex_;
  std::set<std::pair<uint64_t, Reason>> reported_;
  std::string near_;
  std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
  ReplicaReader replicas_{chunks_, clock_, *timers_,
                          [this](const std::string& address) { return address == near_; },
                          [this](ChunkHandle, ServerId server, Reason reason) {
                            std::lock_guard lock(mutex_);
                            reported_.insert({server.value(), reason});
                          }};
  Reader::Shared shared_{clock_, plans_, chunks_, replicas_, budget_, 8 << 20};
  std::shared_ptr<KnownSize> known_ = std::make_shared<KnownSize>();
  std::shared_ptr<Reader> reader_ = std::make_shared<Reader>(InodeId(5), shared_, known_);
  std::string all_;
  absl::Status last_;
};

TEST_F(ReaderTest, SealedAndOpenChunks_ReadAsOneFile) {
  AddChunk(v1::SEALED, Pattern(3 << 20, 1));
  AddChunk(v1::SEALED, Pattern(100, 2));
  AddChunk(v1::OPEN, Pattern(5000, 3));
  EXPECT_EQ(Read(0, 10 << 20), all_);
  EXPECT_EQ(Read((3 << 20) - 10, 200), all_.substr((3 << 20) - 10, 200));
  EXPECT_EQ(Read(all_.size(), 10), "");
  EXPECT_EQ(Read(all_.size() - 5, 10), all_.substr(all_.size() - 5));
}

TEST_F(ReaderTest, EmptyFile_IsEmpty) {
  EXPECT_EQ(Read(0, 100), "");
  EXPECT_TRUE(last_.ok());
}

TEST_F(ReaderTest, SequentialReads_AreServedFromReadahead) {
  AddChunk(v1::SEALED, Pattern(10 << 20, 1));
  std::string got;
  while (true) {
    std::string part = Read(got.size(), 128 << 10);
    if (part.empty()) break;
    got += part;
  }
  EXPECT_EQ(got, all_);
  int reads = 0;
  for (auto& [address, server] : chunks_.servers) reads += server.reads;
  EXPECT_LE(reads, 11) << "in blocks of 1 MiB";
  reader_->DropIdleBlocks(clock_.Monotonic() + seconds(1));
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(ReaderTest, CorruptReplica_AnotherOneIsReadAndItIsReported) {
  AddChunk(v1::SEALED, Pattern(20 << 20, 1));
  chunks_.servers["s2"].corrupt = true;
  EXPECT_EQ(Read(0, 20 << 20), all_);
  EXPECT_TRUE(Reported(2, v1::CHECKSUM_MISMATCH));
  EXPECT_EQ(reported_.size(), 1u);
}

TEST_F(ReaderTest, LostReplica_AnotherOneIsReadAndItIsReported) {
  AddChunk(v1::SEALED, Pattern(20 << 20, 1));
  chunks_.servers["s1"].error = MakeError(v1::UNKNOWN_CHUNK, "no such chunk");
  chunks_.servers["s3"].error = MakeError(v1::UNREACHABLE, "down");
  EXPECT_EQ(Read(0, 20 << 20), all_);
  EXPECT_TRUE(Reported(1, v1::UNKNOWN_CHUNK));
  EXPECT_TRUE(Reported(3, v1::UNREACHABLE));
  int tried = chunks_.servers["s3"].reads;
  EXPECT_EQ(Read(4 << 20, 1 << 20), all_.substr(4 << 20, 1 << 20));
  EXPECT_EQ(chunks_.servers["s3"].reads, tried) << "a silent server is tried last for a while";
}

TEST_F(ReaderTest, HungReplica_AnotherOneIsAskedBesideItAndThenFirst) {
  AddChunk(v1::SEALED, Pattern(1000, 1));
  near_ = "s2";
  chunks_.servers["s2"].hung = true;
  EXPECT_EQ(Read(0, 1000), all_);
  EXPECT_EQ(chunks_.servers["s2"].reads, 1);
  EXPECT_EQ(Read(0, 1000), all_);
  EXPECT_EQ(chunks_.servers["s2"].reads, 1);
  // An answer that comes after all harms nobody.
  for (ChunkClient::ReadDone& done : chunks_.kept_back)
    std::move(done)(MakeError(v1::TIMED_OUT, "silent"));
  EXPECT_EQ(Read(0, 1000), all_);
}

TEST_F(ReaderTest, HungPrimary_OthersBehind_ItsLateAnswerIsTaken) {
  AddChunk(v1::OPEN, Pattern(1000, 1));
  known_->Raise(1000);
  chunks_.servers["s1"].hung = true;
  chunks_.servers["s2"].behind = chunks_.servers["s3"].behind = 10;
  std::thread waker([this] {
    while (true) {
      std::vector<ChunkClient::ReadDone> late;
      {
        std::lock_guard lock(chunks_.mutex);
        if (chunks_.servers["s2"].reads > 0 && chunks_.servers["s3"].reads > 0)
          late.swap(chunks_.kept_back);
      }
      if (late.empty()) {
        std::this_thread::yield();
        continue;
      }
      for (auto& done : late) std::move(done)(ReadReply{1000, Crc32c(all_), Buffer::From(all_)});
      return;
    }
  });
  EXPECT_EQ(Read(0, 1000), all_);
  waker.join();
}

TEST_F(ReaderTest, ShortReplica_NeverMakesAShortRead) {
  AddChunk(v1::SEALED, Pattern(20 << 20, 1));
  chunks_.servers["s1"].behind = 15 << 20;
  EXPECT_EQ(Read(0, 20 << 20), all_);
}

TEST_F(ReaderTest, AllReplicasBad_FailsByTheDeadline) {
  AddChunk(v1::SEALED, Pattern(100, 1));
  for (const char* server : {"s1", "s2", "s3"}) chunks_.servers[server].corrupt = true;
  EXPECT_EQ(Read(0, 100, milliseconds(50)), "(error)");
  EXPECT_TRUE(HasReason(last_, v1::CHECKSUM_MISMATCH)) << last_;
}

TEST_F(ReaderTest, GrowingTail_IsReadInOneRoundTrip) {
  v1::Chunk& tail = AddChunk(v1::OPEN, "one\n");
  reader_->SetPlan(plans_.plan);
  EXPECT_EQ(Read(0, 100), "one\n");
  chunks_.content[tail.handle()] += "two\n";
  EXPECT_EQ(Read(4, 100), "two\n");
  EXPECT_EQ(chunks_.servers["s1"].questions, 0);
  EXPECT_EQ(plans_.asked, 0);
}

TEST_F(ReaderTest, FencedPrimary_MasterIsAskedAndTheNewTailRead) {
  v1::Chunk& tail = AddChunk(v1::OPEN, "one\n");
  reader_->SetPlan(plans_.plan);
  chunks_.servers["s1"].length_error = MakeError(v1::STALE_EPOCH, "fenced");
  plans_.on_ask = [this, &tail] {
    if (plans_.asked == 1) {
      tail.set_state(v1::RECOVERING);
    } else if (plans_.asked == 2) {
      tail.set_state(v1::SEALED);
      tail.set_length(4);
      chunks_.servers["s1"].length_error = absl::OkStatus();
      AddChunk(v1::OPEN, "two\n");
    }
  };
  EXPECT_EQ(Read(0, 100), "one\ntwo\n");
}

TEST_F(ReaderTest, RecoveringTail_KnownBytesStayReadable) {
  v1::Chunk& tail = AddChunk(v1::OPEN, "one\n");
  reader_->SetPlan(plans_.plan);
  EXPECT_EQ(Read(0, 100), "one\n");
  tail.set_state(v1::RECOVERING);
  tail.set_epoch(2);
  chunks_.servers["s1"].error = MakeError(v1::UNREACHABLE, "down");
  EXPECT_EQ(Read(0, 4), "one\n");
  EXPECT_EQ(Read(0, 100, milliseconds(50)), "(error)") << "what its end is nobody knows";
  EXPECT_TRUE(HasReason(last_, v1::TIMED_OUT)) << last_;
}

TEST_F(ReaderTest, TailSealedAndGrownElsewhere_KnownSizeLeadsToTheNewChunk) {
  v1::Chunk& tail = AddChunk(v1::OPEN, "one\n");
  reader_->SetPlan(plans_.plan);
  EXPECT_EQ(Read(0, 4), "one\n");
  tail.set_state(v1::SEALED);
  tail.set_length(4);
  AddChunk(v1::OPEN, "two\n");
  known_->Raise(8);  // our own append was acknowledged there
  EXPECT_EQ(Read(0, 8), "one\ntwo\n");
}

TEST_F(ReaderTest, SmallerAnswer_SizeDoesNotShrink) {
  AddChunk(v1::OPEN, "one\n");
  known_->Raise(10);
  absl::StatusOr<uint64_t> size = reader_->Size(clock_.Monotonic() + seconds(5));
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(*size, 10u);
}

TEST_F(ReaderTest, VanishedFile_IsNoEntryAtOnce) {
  plans_.error = MakeError(v1::NO_ENTRY, "inode=5 is gone");
  EXPECT_EQ(Read(0, 10), "(error)");
  EXPECT_TRUE(HasReason(last_, v1::NO_ENTRY));
}

}  // namespace
}  // namespace appendfs
