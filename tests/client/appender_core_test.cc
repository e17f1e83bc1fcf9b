#include "client/appender_core.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/crc32c.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ClientId kClient{7};
const absl::Status kEnough = MakeError(v1::INTERRUPTED, "enough");
const AppendTail kFirst{ChunkHandle(100), Epoch(1), ServerId(1), "a:1"};
const AppendTail kSecond{ChunkHandle(101), Epoch(1), ServerId(2), "b:1"};

// A core with what it said last, and the answers of all records so far.
class AppenderCoreTest : public testing::Test {
 protected:
  void Append(const std::string& record, std::optional<FileOffset> expected = std::nullopt) {
    size_t index = answers_.size();
    answers_.emplace_back();
    core_.Queue(
        record, expected,
        [this, index](absl::StatusOr<FileOffset> offset) {
          answers_[index] = std::move(offset);
          order_.push_back(index);
        },
        now_);
    Poll();
  }
  void Poll() {
    AppenderCore::Output output = core_.Poll(now_);
    for (AppenderCore::Answer& answer : output.answers) std::move(answer).Run();
    sent_ = std::move(output.send);
    ask_ = output.ask;
  }
  void Tail(const AppendTail& tail) {
    core_.OnTail(core_.client(), tail, now_);
    Poll();
  }
  void Outcome(const AppendTail& tail, uint64_t sequence, absl::StatusOr<FileOffset> outcome) {
    core_.OnOutcome(tail.handle, tail.epoch, Sequence(sequence), outcome, now_);
    Poll();
  }
  void Refuse(const AppendTail& tail, uint64_t sequence, Reason reason) {
    Outcome(tail, sequence, MakeError(reason, "refused"));
  }
  Reason ReasonOfAnswer(size_t index) { return ReasonOf(answers_[index]->status()); }

  Duration now_ = seconds(100);
  SequenceSource sequences_;
  AppenderOptions options_{.pace = Duration::zero()};
  AppenderCore core_{options_, kClient, sequences_};
  std::vector<std::optional<absl::StatusOr<FileOffset>>> answers_;
  std::vector<size_t> order_;
  std::vector<OutgoingBatch> sent_;
  std::optional<TailQuestion> ask_;
};

TEST_F(AppenderCoreTest, FirstRecord_AsksForTailThenSendsAtOnce) {
  Append("hello\n");
  ASSERT_TRUE(ask_);
  EXPECT_FALSE(ask_->failed_handle);
  EXPECT_TRUE(sent_.empty());
  Tail(kFirst);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "hello\n");
  EXPECT_EQ(sent_[0].crc32c, Crc32c("hello\n"));
  EXPECT_EQ(sent_[0].predecessor, Sequence(0));
  Outcome(kFirst, 1, FileOffset(40));
  EXPECT_EQ(**answers_[0], FileOffset(40));
  EXPECT_TRUE(core_.idle());
}

TEST_F(AppenderCoreTest, FirstRecord_InThePauseAfterARefusal_IsNews) {
  Append("a");
  core_.OnTailError(MakeError(v1::NO_ENTRY, "it was removed"), now_);
  Poll();
  EXPECT_EQ(ReasonOfAnswer(0), v1::NO_ENTRY);
  ASSERT_TRUE(core_.idle());
  EXPECT_TRUE(core_.Queue(
      "b", std::nullopt, [](const auto&) {}, now_));
  Poll();
  EXPECT_FALSE(ask_);
  now_ = core_.NextWake(now_);
  Poll();
  EXPECT_TRUE(ask_);
  EXPECT_LT(now_, seconds(102));
}

TEST_F(AppenderCoreTest, RecordsBehindBatchInFlight_GatherIntoOneBatch) {
  Tail(kFirst);
  Append("a");
  Append("bb");
  Append("ccc");
  EXPECT_TRUE(sent_.empty());
  Outcome(kFirst, 1, FileOffset(0));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "bbccc");
  EXPECT_EQ(sent_[0].predecessor, Sequence(1));
  Outcome(kFirst, 2, FileOffset(1));
  EXPECT_EQ(**answers_[1], FileOffset(1));
  EXPECT_EQ(**answers_[2], FileOffset(3));
}

TEST_F(AppenderCoreTest, Flush_SendsWhatGathersAndRunsLast) {
  Tail(kFirst);
  Append("a");
  Append("b");
  bool flushed = false;
  core_.Flush([&flushed] { flushed = true; });
  Poll();
  EXPECT_EQ(sent_.size(), 1u);
  Outcome(kFirst, 1, FileOffset(0));
  EXPECT_FALSE(flushed);
  Outcome(kFirst, 2, FileOffset(1));
  EXPECT_TRUE(flushed);
}

TEST_F(AppenderCoreTest, LargeBatches_FillTheWindowAndNoMore) {
  Tail(kFirst);
  size_t sent = 0;
  for (int i = 0; i < 40; ++i) {
    Append(std::string(1 << 20, 'x'));
    sent += sent_.size();
  }
  EXPECT_EQ(sent, 16u);
}

TEST(AppenderCorePaceTest, StreamOfSmallRecords_GathersUntilThePaceOrAFlush) {
  const AppenderOptions options;
  Duration now = seconds(100);
  SequenceSource sequences;
  AppenderCore core(options, kClient, sequences);
  auto append = [&] {
    core.Queue(
        "record\n", std::nullopt, [](absl::StatusOr<FileOffset>) {}, now);
    return core.Poll(now).send.size();
  };
  auto answer = [&](uint64_t sequence) {
    core.OnOutcome(kFirst.handle, kFirst.epoch, Sequence(sequence), FileOffset(0), now);
    return core.Poll(now).send.size();
  };
  core.OnTail(kClient, kFirst, now);
  EXPECT_EQ(append(), 1u);  // alone: at once
  EXPECT_EQ(answer(1), 0u);
  EXPECT_EQ(append(), 0u);  // in a stream: gathers
  EXPECT_EQ(append(), 0u);
  EXPECT_EQ(core.NextWake(now), now + options.pace);
  now += options.pace;
  EXPECT_EQ(core.Poll(now).send.size(), 1u);
  EXPECT_EQ(answer(2), 0u);
  EXPECT_EQ(append(), 0u);
  core.Flush([] {});  // somebody waits: at once
  EXPECT_EQ(core.Poll(now).send.size(), 1u);
}

TEST_F(AppenderCoreTest, ConsecutiveConditionalRecords_ShareOneCondition) {
  Tail(kFirst);
  Append("first");
  Append("ab", FileOffset(5));
  Append("cd", FileOffset(7));
  Append("ef", FileOffset(20));  // behind a gap: closes the batch before
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "abcd");
  EXPECT_EQ(sent_[0].expected, FileOffset(5));
  Outcome(kFirst, 1, FileOffset(0));
  EXPECT_TRUE(sent_.empty());
  Outcome(kFirst, 2, FileOffset(5));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].expected, FileOffset(20));
}

TEST_F(AppenderCoreTest, DefiniteFailure_FailsEverythingBehindIt) {
  Tail(kFirst);
  Append("a");
  Append("b", FileOffset(9));
  core_.Flush([] {});
  Poll();
  Append("c");
  Refuse(kFirst, 2, v1::EOF_MISMATCH);
  EXPECT_TRUE(order_.empty()) << "the first record is still to be answered";
  Outcome(kFirst, 1, FileOffset(0));
  EXPECT_EQ(order_, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(ReasonOfAnswer(1), v1::EOF_MISMATCH);
  EXPECT_EQ(ReasonOfAnswer(2), v1::EOF_MISMATCH);
  Append("d");
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].predecessor, Sequence(1)) << "the last accepted one";
}

TEST_F(AppenderCoreTest, TailLost_SameBatchesGoToTheNextTailInOrder) {
  Tail(kFirst);
  Append("a");
  Append("b");
  core_.Flush([] {});
  Poll();
  core_.OnBroken(kFirst.handle, kFirst.epoch, MakeError(v1::UNREACHABLE, "gone"), now_);
  Poll();
  ASSERT_TRUE(ask_);
  EXPECT_EQ(ask_->failed_handle, kFirst.handle);
  EXPECT_EQ(ask_->failed_reason, v1::UNREACHABLE);
  Tail(kSecond);
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[0].sequence, Sequence(1));
  EXPECT_EQ(sent_[0].payload.view(), "a");
  EXPECT_EQ(sent_[1].sequence, Sequence(2));
  EXPECT_EQ(sent_[1].predecessor, Sequence(1));
  EXPECT_EQ(sent_[1].handle, kSecond.handle);
}

TEST_F(AppenderCoreTest, LateSuccessOfOldTail_Counts) {
  Tail(kFirst);
  Append("a");
  Refuse(kFirst, 1, v1::CHUNK_FULL);
  Outcome(kFirst, 1, FileOffset(3));
  EXPECT_EQ(**answers_[0], FileOffset(3));
}

TEST_F(AppenderCoreTest, LateRefusalOfOldTail_IsIgnored) {
  Tail(kFirst);
  Append("a");
  Refuse(kFirst, 1, v1::NOT_PRIMARY);
  Tail(kSecond);
  Refuse(kFirst, 1, v1::EOF_MISMATCH);
  EXPECT_FALSE(answers_[0]);
  Outcome(kSecond, 1, FileOffset(3));
  EXPECT_EQ(**answers_[0], FileOffset(3));
}

TEST_F(AppenderCoreTest, SameTailGivenAgain_IsNotUsedButAskedForAnew) {
  Tail(kFirst);
  Append("a");
  Refuse(kFirst, 1, v1::STALE_EPOCH);
  Tail(kFirst);
  EXPECT_TRUE(sent_.empty());
  now_ += seconds(2);
  Poll();
  ASSERT_TRUE(ask_);
  EXPECT_EQ(ask_->failed_handle, kFirst.handle);
}

TEST_F(AppenderCoreTest, ChecksumMismatch_SendsItAndWhatFollowedAgain) {
  Tail(kFirst);
  Append("a");
  Append("b");
  core_.Flush([] {});
  Poll();
  Refuse(kFirst, 1, v1::CHECKSUM_MISMATCH);
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[0].payload.view(), "a");
  Refuse(kFirst, 2, v1::PREDECESSOR_MISSING);  // of the first copy
  EXPECT_FALSE(ask_);
  Outcome(kFirst, 1, FileOffset(0));
  Outcome(kFirst, 2, FileOffset(1));
  EXPECT_EQ(**answers_[1], FileOffset(1));
  EXPECT_TRUE(core_.idle());
}

TEST_F(AppenderCoreTest, NoTailByDeadline_TimesOut) {
  Append("a");
  core_.OnTailError(MakeError(v1::QUORUM_LOST, "one server only"), now_);
  now_ += options_.timeout;
  Poll();
  EXPECT_EQ(ReasonOfAnswer(0), v1::TIMED_OUT);
  EXPECT_TRUE(core_.idle());
}

TEST_F(AppenderCoreTest, SentAndSilentByDeadline_IsInDoubtAndNextNamesLastAccepted) {
  Tail(kFirst);
  Append("a");
  Outcome(kFirst, 1, FileOffset(0));
  Append("b");
  now_ += seconds(10);
  Append("c");
  now_ += seconds(20);
  Poll();
  EXPECT_EQ(ReasonOfAnswer(1), v1::IN_DOUBT);
  EXPECT_FALSE(answers_[2]);
  Tail(kSecond);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "c");
  EXPECT_EQ(sent_[0].sequence, Sequence(3));
  EXPECT_EQ(sent_[0].predecessor, Sequence(1));
}

TEST_F(AppenderCoreTest, SilentTail_IsAskedAboutThenGivenUp) {
  Tail(kFirst);
  Append("a");
  now_ += options_.doubt_after;
  Poll();
  ASSERT_TRUE(ask_);
  EXPECT_EQ(ask_->failed_handle, kFirst.handle);
  EXPECT_EQ(ask_->failed_reason, v1::TIMED_OUT) << "only whether it still stands";
  Tail(kFirst);
  EXPECT_TRUE(sent_.empty());
  now_ += options_.give_up_after;
  Poll();
  ASSERT_TRUE(ask_);
  EXPECT_EQ(ask_->failed_handle, kFirst.handle);
  EXPECT_EQ(ask_->failed_reason, v1::UNREACHABLE);
}

TEST_F(AppenderCoreTest, SentAndThenNoRoomAnywhere_IsInDoubtWithTheErrnoOfAFullDisk) {
  Tail(kFirst);
  Append("a");
  core_.OnBroken(kFirst.handle, kFirst.epoch, MakeError(v1::UNREACHABLE, "gone"), now_);
  Poll();
  Append("b");
  core_.OnTailError(MakeError(v1::NO_SPACE, "no room"), now_);
  Poll();
  EXPECT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT);
  EXPECT_EQ(ToErrno(answers_[0]->status()), ENOSPC);
  EXPECT_EQ(ReasonOfAnswer(1), v1::NO_SPACE);
}

TEST_F(AppenderCoreTest, SilentTailReplacedByMaster_BatchesMove) {
  Tail(kFirst);
  Append("a");
  now_ += options_.doubt_after;
  Poll();
  Tail(kSecond);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].handle, kSecond.handle);
}

TEST_F(AppenderCoreTest, SessionExpired_SentIsInDoubtUnsentGoesOnUnderNewClient) {
  Tail(kFirst);
  Append("a");
  Append("b");
  core_.OnSession(ClientId(8));
  Poll();
  EXPECT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT);
  ASSERT_TRUE(ask_);
  core_.OnTail(kClient, kFirst, now_);  // an answer to the old session is none
  Poll();
  EXPECT_TRUE(sent_.empty());
  Tail(kSecond);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "b");
  EXPECT_EQ(sent_[0].predecessor, Sequence(0));
}

TEST_F(AppenderCoreTest, SessionExpiredWithBatchesInDoubt_NextTailIsOfANewEpoch) {
  Tail(kFirst);
  Append("a");
  now_ += options_.timeout;
  Poll();
  ASSERT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT) << "given up, and may still arrive";
  core_.OnSession(ClientId(8));
  Append("b");
  ASSERT_TRUE(ask_);
  EXPECT_EQ(ask_->failed_handle, kFirst.handle);
  EXPECT_EQ(ask_->failed_epoch, kFirst.epoch);
  EXPECT_EQ(ask_->failed_reason, v1::SESSION_EXPIRED);
  Tail(kFirst);
  EXPECT_TRUE(sent_.empty()) << "nothing keeps late copies out of that epoch";
  const AppendTail reopened{kFirst.handle, Epoch(2), kFirst.primary, kFirst.address};
  Tail(reopened);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].epoch, Epoch(2));

  // What was answered leaves no doubt, and the next session no question.
  Outcome(reopened, sent_[0].sequence.value(), FileOffset(1));
  core_.OnSession(ClientId(9));
  Append("c");
  ASSERT_TRUE(ask_);
  EXPECT_FALSE(ask_->failed_handle);
}

TEST_F(AppenderCoreTest, FileVanished_UnsentFailsSoSentIsInDoubt) {
  Tail(kFirst);
  Append("a");
  Append("b");
  Refuse(kFirst, 1, v1::UNKNOWN_CHUNK);
  core_.OnTailError(MakeError(v1::NO_ENTRY, "inode=5 is gone"), now_);
  Poll();
  EXPECT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT);
  EXPECT_EQ(ReasonOfAnswer(1), v1::NO_ENTRY);
}

TEST_F(AppenderCoreTest, ImpossibleRecords_AreRefusedInTheirTurn) {
  Tail(kFirst);
  Append("a");
  Append("");
  Append(std::string(options_.batch_bytes + 1, 'x'));
  Append("b");
  Outcome(kFirst, 1, FileOffset(0));
  Outcome(kFirst, 2, FileOffset(1));
  EXPECT_EQ(order_, (std::vector<size_t>{0, 1, 2, 3}));
  EXPECT_EQ(ReasonOfAnswer(1), v1::INVALID);
  EXPECT_EQ(ReasonOfAnswer(2), v1::TOO_LARGE);
  EXPECT_TRUE(answers_[3]->ok());
}

TEST_F(AppenderCoreTest, TailsFailingOnAndOn_AreAskedForMoreSlowly) {
  Append("a");
  int asked = 0;
  for (int i = 0; i < 200; ++i) {
    if (ask_) {
      ++asked;
      core_.OnTailError(MakeError(v1::UNREACHABLE, "away"), now_);
    }
    now_ += milliseconds(20);
    Poll();
  }
  EXPECT_LT(asked, 16);
  EXPECT_GT(asked, 5);
}

TEST_F(AppenderCoreTest, InterruptedUnsent_IsTakenOutAndNeverSent) {
  Append("a");
  Append("bcd");
  std::optional<AppenderCore::Answer> answer = core_.Interrupt(core_.last_record(), kEnough);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->bytes, 3u);
  std::move(*answer).Run();
  EXPECT_EQ(answers_[1]->status(), kEnough);
  EXPECT_EQ(core_.queued_bytes(), 1u);
  EXPECT_FALSE(core_.Interrupt(core_.last_record(), kEnough));
  Tail(kFirst);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "a");
  EXPECT_EQ(sent_[0].crc32c, Crc32c("a"));
}

TEST_F(AppenderCoreTest, InterruptedUnsentAlone_LeavesNothingAndTheNextFollowsTheLastSent) {
  Tail(kFirst);
  Append("a");
  ASSERT_EQ(sent_.size(), 1u);
  Append("b");  // waits behind it
  ASSERT_TRUE(sent_.empty());
  bool flushed = false;
  core_.Flush([&flushed] { flushed = true; });
  std::move(*core_.Interrupt(core_.last_record(), kEnough)).Run();
  EXPECT_EQ(answers_[1]->status(), kEnough);
  Append("c");
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "c");
  EXPECT_EQ(sent_[0].predecessor, Sequence(1));
  EXPECT_FALSE(flushed);
  Outcome(kFirst, 1, FileOffset(0));
  EXPECT_TRUE(flushed);
}

TEST_F(AppenderCoreTest, InterruptedSent_IsInDoubtAndGoesOn) {
  Tail(kFirst);
  Append("a");
  const uint64_t record = core_.last_record();
  EXPECT_TRUE(core_.in_doubt());
  std::move(*core_.Interrupt(record, kEnough)).Run();
  EXPECT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT);
  Append("b");
  Outcome(kFirst, 1, FileOffset(0));
  EXPECT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT);  // told once
  EXPECT_EQ(order_, std::vector<size_t>{0});
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].predecessor, Sequence(1));
  EXPECT_FALSE(core_.Interrupt(record, kEnough));
}

TEST_F(AppenderCoreTest, InterruptedWithOthersBehind_StaysInItsPlace) {
  Append("a");
  const uint64_t record = core_.last_record();
  Append("b");
  std::move(*core_.Interrupt(record, kEnough)).Run();
  EXPECT_EQ(ReasonOfAnswer(0), v1::IN_DOUBT);
  Tail(kFirst);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].payload.view(), "ab");
}

TEST_F(AppenderCoreTest, Report_SaysWhatWaitsWhereAndWhy) {
  Tail(kFirst);
  Append("abc");
  now_ += milliseconds(100);
  AppendQueueReport report = core_.Report(now_);
  EXPECT_EQ(report.records, 1u);
  EXPECT_EQ(report.bytes, 3u);
  EXPECT_EQ(report.sent_batches, 1u);
  EXPECT_EQ(report.waiting, milliseconds(100));
  EXPECT_EQ(report.chunk, kFirst.handle);
  EXPECT_EQ(report.primary, "a:1");
  EXPECT_FALSE(report.retrying());
  Refuse(kFirst, 1, v1::QUORUM_LOST);
  report = core_.Report(now_);
  EXPECT_TRUE(report.retrying());
  EXPECT_EQ(report.reason, "refused");
  EXPECT_EQ(report.chunk, kFirst.handle);
}

}  // namespace
}  // namespace appendfs
