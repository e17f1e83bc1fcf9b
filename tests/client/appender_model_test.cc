// The appender's core against a model of masters and primaries that lose
// requests, lose replies, fail and roll: every record is in the file at most
// once, in order, at the offset that was answered; those in doubt excepted,
// every one is answered rightly.
#include <gtest/gtest.h>

#include <deque>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "client/appender_core.h"
#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

// The file: what primaries accepted, over all its chunks, with the dedup
// memory that recovery hands on. The rules are those of proto/chunkserver.proto.
class ModelFile {
 public:
  explicit ModelFile(std::mt19937_64& random) : random_(random) {}

  AppendTail Tail() const { return {ChunkHandle(handle_), Epoch(1), ServerId(handle_), "x"}; }
  // A recovery: what is committed stays, uncommitted bytes may go.
  void Recover() {
    while (!pending_.empty() && random_() % 2) {
      Accepted& last = pending_.back();
      bytes_.resize(last.offset);
      memory_[last.client].erase(last.sequence);
      pending_.pop_back();
    }
    pending_.clear();
    ++handle_;
  }

  struct Reply {
    Sequence sequence;
    absl::StatusOr<FileOffset> outcome;
  };
  std::optional<Reply> Offer(ClientId client, const OutgoingBatch& batch) {
    if (batch.handle != ChunkHandle(handle_)) return Refuse(batch, v1::NOT_PRIMARY);
    if (Crc32c(batch.payload.view()) != batch.crc32c) return Refuse(batch, v1::CHECKSUM_MISMATCH);
    auto& memory = memory_[client];
    uint64_t last = memory.empty() ? 0 : memory.rbegin()->first;
    if (batch.sequence.value() <= last) {
      auto found = memory.find(batch.sequence.value());
      if (found == memory.end()) return Refuse(batch, v1::SEQUENCE_FORGOTTEN);
      EXPECT_EQ(bytes_.substr(found->second, batch.payload.size()), batch.payload.view());
      for (const Accepted& waiting : pending_)
        if (waiting.sequence == batch.sequence.value()) return std::nullopt;  // at its commit
      return Reply{batch.sequence, FileOffset(found->second)};
    }
    if (batch.predecessor.value() > last) return Refuse(batch, v1::PREDECESSOR_MISSING);
    if (batch.expected && batch.expected->bytes() != bytes_.size())
      return Refuse(batch, v1::EOF_MISMATCH);
    if (random_() % 30 == 0) return Refuse(batch, v1::CHUNK_FULL);
    memory[batch.sequence.value()] = bytes_.size();
    pending_.push_back({client, batch.sequence.value(), bytes_.size()});
    bytes_.append(batch.payload.view());
    return std::nullopt;
  }
  std::optional<Reply> CommitOne() {
    if (pending_.empty()) return std::nullopt;
    Accepted first = pending_.front();
    pending_.pop_front();
    return Reply{Sequence(first.sequence), FileOffset(first.offset)};
  }
  const std::string& bytes() const { return bytes_; }

 private:
  struct Accepted {
    ClientId client;
    uint64_t sequence, offset;
  };
  static Reply Refuse(const OutgoingBatch& batch, Reason reason) {
    return {batch.sequence, MakeError(reason, "model")};
  }

  std::mt19937_64& random_;
  uint64_t handle_ = 1;
  std::string bytes_;
  std::map<ClientId, std::map<uint64_t, uint64_t>> memory_;  // sequence → offset
  std::deque<Accepted> pending_;
};

class Scenario {
 public:
  explicit Scenario(uint64_t seed) : random_(seed), file_(random_) {
    AppenderOptions options;
    options.batch_bytes = 64;
    options.small_batch_bytes = 16;
    options.window_bytes = 400;
    core_ = std::make_unique<AppenderCore>(options, ClientId(client_), sequences_);
  }

  void Go() {
    for (int step = 0; step < 4000; ++step) {
      now_ += milliseconds(random_() % 40);
      switch (random_() % 12) {
        case 0:
        case 1:
        case 2: QueueRecord(); break;
        case 3:
        case 4: DeliverRequest(); break;
        case 5:
        case 6: Commit(); break;
        case 7:
        case 8: DeliverReply(); break;
        case 9: AnswerTail(); break;
        case 10: Misfortune(); break;
        case 11: core_->Flush([] {}); break;
      }
      Poll();
    }
    // Quiet weather: everything ends.
    for (int step = 0; step < 20000 && !core_->idle(); ++step) {
      now_ += milliseconds(5);
      AnswerTail();
      DeliverRequest();
      Commit();
      DeliverReply();
      Poll();
    }
    EXPECT_TRUE(core_->idle());
    Check();
  }

 private:
  struct Outgoing {
    ClientId client;
    OutgoingBatch batch;
  };
  struct Incoming {
    AppendTail from;
    ModelFile::Reply reply;
  };

  void QueueRecord() {
    size_t index = records_.size();
    std::string record = StrCat("<", index, std::string(random_() % 20, '.'), ">");
    records_.push_back({record, std::nullopt});
    core_->Queue(
        record, std::nullopt,
        [this, index](absl::StatusOr<FileOffset> offset) {
          EXPECT_EQ(index, answered_++) << "answers keep the order of the records";
          records_[index].answer = std::move(offset);
        },
        now_);
  }
  void DeliverRequest() {
    if (requests_.empty()) return;
    Outgoing out = std::move(requests_.front());
    requests_.pop_front();
    if (random_() % 40 == 0) out.batch.crc32c ^= 1;  // damaged on the way
    AppendTail at = file_.Tail();
    if (auto reply = file_.Offer(out.client, out.batch)) {
      at.handle = out.batch.handle;
      replies_.push_back({at, *reply});
    }
  }
  void Commit() {
    AppendTail at = file_.Tail();
    if (auto reply = file_.CommitOne()) replies_.push_back({at, *reply});
  }
  void DeliverReply() {
    if (replies_.empty()) return;
    Incoming in = std::move(replies_.front());
    replies_.pop_front();
    core_->OnOutcome(in.from.handle, in.from.epoch, in.reply.sequence, in.reply.outcome, now_);
  }
  void AnswerTail() {
    if (!question_) return;
    TailQuestion question = *std::exchange(question_, std::nullopt);
    if (random_() % 8 == 0) {
      core_->OnTailError(MakeError(v1::TIMED_OUT, "model"), now_);
      return;
    }
    if (question.failed_handle && question.failed_handle == file_.Tail().handle) file_.Recover();
    core_->OnTail(asked_as_, file_.Tail(), now_);
  }
  // The stream breaks: what is on it is lost, or a part of it arrives later.
  void Misfortune() {
    switch (random_() % 8) {
      case 0:
      case 1:
        if (!core_->tail()) return;
        for (size_t i = random_() % 3; i > 0 && !requests_.empty(); --i) requests_.pop_back();
        if (random_() % 2) replies_.clear();
        core_->OnBroken(core_->tail()->handle, core_->tail()->epoch,
                        MakeError(v1::UNREACHABLE, "model"), now_);
        break;
      case 2: file_.Recover(); break;
      case 3:
        if (random_() % 10 == 0) now_ += std::chrono::seconds(31);
        break;
      case 4:
        if (random_() % 10 == 0) {
          file_.Recover();
          core_->OnSession(ClientId(++client_));
        }
        break;
      default: break;
    }
  }
  void Poll() {
    AppenderCore::Output output = core_->Poll(now_);
    for (OutgoingBatch& batch : output.send)
      requests_.push_back({core_->client(), std::move(batch)});
    if (output.ask) {
      EXPECT_FALSE(question_);
      question_ = output.ask;
      asked_as_ = core_->client();
    }
    for (AppenderCore::Answer& answer : output.answers) std::move(answer).Run();
  }

  void Check() {
    const std::string& bytes = file_.bytes();
    size_t last = 0;
    for (const Record& record : records_) {
      ASSERT_TRUE(record.answer);
      size_t at = bytes.find(record.bytes);
      bool there = at != std::string::npos;
      if (there) {
        EXPECT_EQ(bytes.find(record.bytes, at + 1), std::string::npos) << record.bytes << " twice";
        EXPECT_GE(at, last) << record.bytes << " out of order";
        last = at;
      }
      if (record.answer->ok()) {
        ASSERT_TRUE(there) << record.bytes << " acknowledged and lost";
        EXPECT_EQ(FileOffset(at), **record.answer);
        ++acknowledged_;
      } else if (HasReason(record.answer->status(), v1::TIMED_OUT)) {
        EXPECT_FALSE(there) << record.bytes << " said never to have left";
      } else {
        EXPECT_TRUE(HasReason(record.answer->status(), v1::IN_DOUBT)) << record.answer->status();
      }
    }
    EXPECT_GT(acknowledged_, records_.size() / 8);
  }

  struct Record {
    std::string bytes;
    std::optional<absl::StatusOr<FileOffset>> answer;
  };

  std::mt19937_64 random_;
  ModelFile file_;
  SequenceSource sequences_;
  uint64_t client_ = 1;
  std::unique_ptr<AppenderCore> core_;
  Duration now_ = std::chrono::seconds(1);
  std::deque<Outgoing> requests_;
  std::deque<Incoming> replies_;
  std::optional<TailQuestion> question_;
  ClientId asked_as_;
  std::vector<Record> records_;
  size_t answered_ = 0;
  size_t acknowledged_ = 0;
};

TEST(AppenderModel, LossesFailuresAndRolls_ExactlyOnceInOrderAtTheRightOffset) {
  const char* fixed = std::getenv("APPENDFS_TEST_SEED");
  uint64_t first = fixed ? std::strtoull(fixed, nullptr, 10) : 1;
  uint64_t count = fixed ? 1 : 300;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(StrCat("APPENDFS_TEST_SEED=", seed));
    Scenario(seed).Go();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace appendfs
