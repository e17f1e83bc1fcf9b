#include "client/appender_core.h"

#include <algorithm>
#include <utility>

#include "common/crc32c.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// A tail that fails again and again is asked for ever more slowly.
Duration Backoff(int failures) {
  if (failures <= 1) return Duration::zero();
  return std::chrono::milliseconds(std::min(10 << std::min(failures, 8), 1000));
}

bool IsDefinite(Reason reason) {
  return reason == v1::EOF_MISMATCH || reason == v1::TOO_LARGE || reason == v1::INVALID ||
         reason == v1::NO_SPACE;
}

// Answers of the master after which asking again may help.
bool MayAskAgain(const absl::Status& status) {
  return IsTransient(status) || HasReason(status, v1::QUORUM_LOST) ||
         HasReason(status, v1::SESSION_EXPIRED);
}

}  // namespace

void AppenderCore::Answer::Run() && {
  for (Record& record : records) {
    if (outcome.ok())
      std::move(record.done)(*outcome + record.start);
    else
      std::move(record.done)(outcome.status());
  }
  for (Flushed& flushed : flushes) std::move(flushed)();
}

bool AppenderCore::Accepts(const Batch& batch, size_t bytes,
                           std::optional<FileOffset> expected) const {
  if (batch.closed || batch.size() + bytes > options_.batch_bytes) return false;
  if (batch.expected.has_value() != expected.has_value()) return false;
  return !expected || *batch.expected + batch.size() == *expected;
}

AppenderCore::Batch& AppenderCore::AddBatch(size_t bytes, std::optional<FileOffset> expected,
                                            Duration now) {
  if (!queue_.empty()) queue_.back().closed = true;
  Batch& batch = queue_.emplace_back();
  batch.expected = expected;
  batch.deadline = now + options_.timeout;
  batch.bytes = std::make_shared<std::string>();
  batch.bytes->reserve(std::clamp<uint64_t>(last_batch_bytes_, bytes, options_.batch_bytes));
  return batch;
}

void AppenderCore::Refuse(const absl::Status& status, Appended done, Duration now) {
  if (!queue_.empty()) queue_.back().closed = true;
  Batch& refused = queue_.emplace_back();
  refused.closed = true;
  refused.deadline = now + options_.timeout;
  refused.records.push_back({0, std::move(done), ++records_});
  refused.outcome = status;
}

bool AppenderCore::Queue(std::string_view record, std::optional<FileOffset> expected, Appended done,
                         Duration now) {
  if (record.empty() || record.size() > options_.batch_bytes) {
    Refuse(record.empty()
               ? MakeError(v1::INVALID, "a record has at least one byte")
               : MakeError(v1::TOO_LARGE, StrCat("a record of ", record.size(), " bytes; at most ",
                                                 options_.batch_bytes, " are possible")),
           std::move(done), now);
    return true;
  }
  bool fits = !queue_.empty() && Accepts(queue_.back(), record.size(), expected);
  Batch& batch = fits ? queue_.back() : AddBatch(record.size(), expected, now);
  batch.records.push_back(
      {static_cast<uint32_t>(batch.bytes->size()), std::move(done), ++records_});
  batch.bytes->append(record);
  batch.crc32c = ExtendCrc32c(batch.crc32c, record);
  queued_bytes_ += record.size();
  // The first record is news even in the pause before the master may be asked
  // again: an idle file has no timer running for that.
  if (!tail_) return !asking_ && (now >= ask_at_ || queue_.size() == 1);
  return !fits || MaySend(batch, now);
}

void AppenderCore::Flush(Flushed done) {
  next_small_ = Duration::zero();  // a writer that waits does not stream
  if (queue_.empty()) {
    flushes_.push_back(std::move(done));
    return;
  }
  queue_.back().flushes.push_back(std::move(done));
  ++flushes_waiting_;
}

std::optional<AppenderCore::Answer> AppenderCore::Interrupt(uint64_t record,
                                                            const absl::Status& why) {
  for (Batch& batch : queue_) {
    if (batch.outcome || batch.records.empty() || batch.records.back().id < record) continue;
    auto found = std::find_if(batch.records.begin(), batch.records.end(),
                              [record](const auto& one) { return one.id == record; });
    if (found == batch.records.end()) return std::nullopt;
    Answer answer;
    if (batch.sent() || record != records_) {
      answer.outcome = MakeError(
          v1::IN_DOUBT, StrCat(FromAbsl(why.message()),
                               " before the append was answered; it may be in the file, once"));
      answer.records.push_back({found->start, std::move(found->done), record});
      found->done = [](const absl::StatusOr<FileOffset>&) {};
      return answer;
    }
    answer.outcome = why;
    answer.bytes = batch.size() - found->start;
    answer.records.push_back(std::move(*found));
    batch.records.pop_back();
    batch.bytes->resize(answer.records.back().start);
    batch.crc32c = ExtendCrc32c(0, *batch.bytes);
    queued_bytes_ -= answer.bytes;
    // Nothing was sent under its name: it only carries who waits for the queue.
    if (batch.records.empty()) Answered(batch, why);
    return answer;
  }
  return std::nullopt;
}

bool AppenderCore::in_doubt() const {
  return std::any_of(queue_.begin(), queue_.end(),
                     [](const Batch& batch) { return batch.sent() && !batch.outcome; });
}

AppendQueueReport AppenderCore::Report(Duration now) const {
  AppendQueueReport report;
  for (const Batch& batch : queue_) report.records += batch.records.size();
  report.bytes = queued_bytes_;
  report.sent_batches = static_cast<uint64_t>(in_flight_);
  if (!queue_.empty())
    report.waiting = std::chrono::duration_cast<std::chrono::milliseconds>(
        now - (queue_.front().deadline - options_.timeout));
  if (tail_) {
    report.chunk = tail_->handle;
    report.epoch = tail_->epoch;
    report.primary = tail_->address;
  } else {
    report.chunk = question_.failed_handle;
    report.epoch = question_.failed_epoch;
  }
  report.failures = failures_;
  if (failures_ > 0 && !last_failure_.ok()) report.reason = std::string(last_failure_.message());
  if (report.reason.empty() && in_flight_ > 0 && now - last_progress_ >= options_.doubt_after)
    report.reason = StrCat("chunkserver ", tail_ ? tail_->address : "", " is silent");
  return report;
}

AppenderCore::Batch* AppenderCore::Find(Sequence sequence) {
  for (Batch& batch : queue_)
    if (batch.sent() && batch.sequence == sequence) return &batch;
  return nullptr;
}

void AppenderCore::Land(Batch& batch) {
  if (!batch.in_flight) return;
  batch.in_flight = false;
  --in_flight_;
  in_flight_bytes_ -= batch.size();
}

void AppenderCore::Answered(Batch& batch, absl::StatusOr<FileOffset> outcome) {
  Land(batch);
  batch.closed = true;
  batch.outcome = std::move(outcome);
}

void AppenderCore::FailFrom(size_t index, const absl::Status& status) {
  for (size_t i = index; i < queue_.size(); ++i)
    if (!queue_[i].outcome) Answered(queue_[i], status);
}

void AppenderCore::GiveUpSent(const char* why) {
  for (Batch& batch : queue_) {
    if (!batch.sent() || batch.outcome) continue;
    std::string message = StrCat(why, ": sequence=", batch.sequence, " client=", client_,
                                 "; it may be in the file, once");
    if (!last_failure_.ok()) message += StrCat(" (last: ", last_failure_.message(), ")");
    absl::Status in_doubt = MakeError(v1::IN_DOUBT, message);
    // Programs know what to do about a full disk.
    if (HasReason(last_failure_, v1::NO_SPACE)) in_doubt = WithErrnoOf(v1::NO_SPACE, in_doubt);
    Answered(batch, in_doubt);
    doubt_ = tail_ ? TailQuestion{tail_->handle, tail_->epoch} : question_;
  }
}

void AppenderCore::Resend(size_t from) {
  for (size_t i = from; i < next_; ++i) Land(queue_[i]);
  if (PLANTED(kResendRecut) && from < next_) queue_.back().closed = false;
  next_ = std::min(next_, from);
}

void AppenderCore::LoseTail(Reason reason, const absl::Status& why, Duration now) {
  question_ = {tail_->handle, tail_->epoch, reason};
  last_failure_ = why;
  Resend(0);
  for (Batch& batch : queue_) batch.unanswered_sends = 0;
  tail_.reset();
  if (reason != v1::CHUNK_FULL && reason != v1::CHUNK_SEALED) ++failures_;
  ask_at_ = now + Backoff(failures_);
}

void AppenderCore::OnTail(ClientId asked_as, const AppendTail& tail, Duration now) {
  asking_ = false;
  if (asked_as != client_) return;
  if (tail_ && tail_->Same(tail)) return;  // it still stands
  bool failed_before =
      tail.handle == question_.failed_handle && tail.epoch == question_.failed_epoch;
  if (failed_before) {
    ++failures_;
    ask_at_ = now + Backoff(failures_ + 1);
    return;
  }
  if (tail_) LoseTail(v1::STALE_EPOCH, absl::OkStatus(), now);  // replaced behind our back
  tail_ = tail;
  doubt_ = {};  // fenced
}

void AppenderCore::OnTailError(const absl::Status& status, Duration now) {
  asking_ = false;
  if (tail_) {  // it was only asked whether the tail stands
    ask_at_ = now + options_.doubt_after / 2;
    return;
  }
  ++failures_;
  ask_at_ = now + std::max<Duration>(Backoff(failures_), std::chrono::milliseconds(20));
  last_failure_ = status;
  if (!MayAskAgain(status)) Fail(status);
}

void AppenderCore::Fail(const absl::Status& status) {
  GiveUpSent("the append was not answered");
  FailFrom(0, status);
}

void AppenderCore::OnOutcome(ChunkHandle handle, Epoch epoch, Sequence sequence,
                             const absl::StatusOr<FileOffset>& outcome, Duration now) {
  Batch* batch = Find(sequence);
  if (batch == nullptr || batch->outcome) return;  // given up, or answered twice
  if (outcome.ok()) {
    // True whoever says it: what is committed stays.
    last_accepted_ = std::max(last_accepted_, sequence);
    failures_ = 0;
    last_progress_ = now;
    Answered(*batch, outcome);
    return;
  }
  if (!tail_ || tail_->handle != handle || tail_->epoch != epoch || batch->unanswered_sends == 0)
    return;  // an older tail's opinion
  size_t index = 0;
  while (&queue_[index] != batch) ++index;
  Reason reason = ReasonOf(outcome.status());
  if (IsDefinite(reason)) {
    last_progress_ = now;
    FailFrom(index, outcome.status());
  } else if (reason == v1::SEQUENCE_FORGOTTEN) {
    Answered(*batch, MakeError(v1::IN_DOUBT, StrCat("the primary remembers sequence=", sequence,
                                                    " client=", client_,
                                                    " no more; it may be in the file, once")));
  } else if (reason == v1::CHECKSUM_MISMATCH && failures_ < 3) {
    ++failures_;
    --batch->unanswered_sends;
    Resend(index);
  } else if (reason == v1::PREDECESSOR_MISSING && batch->unanswered_sends > 1) {
    --batch->unanswered_sends;  // the copy sent behind a corrupted one; the next is on its way
  } else {
    LoseTail(reason, outcome.status(), now);
  }
}

void AppenderCore::OnBroken(ChunkHandle handle, Epoch epoch, const absl::Status& why,
                            Duration now) {
  if (!tail_ || tail_->handle != handle || tail_->epoch != epoch) return;
  LoseTail(v1::UNREACHABLE, why, now);
}

void AppenderCore::OnSession(ClientId client) {
  if (client == client_) return;
  GiveUpSent("the session at the master expired");
  client_ = client;
  last_accepted_ = Sequence();
  tail_.reset();
  // No sequence of the new client id keeps late copies of the old one's batches
  // away. A new epoch does: they are in the chunk before it begins, or never.
  question_ = doubt_;
  if (question_.failed_handle) question_.failed_reason = v1::SESSION_EXPIRED;
  Resend(0);
  failures_ = 0;
  ask_at_ = Duration::zero();
}

void AppenderCore::Expire(Duration now) {
  for (size_t i = 0; i < queue_.size() && queue_[i].deadline <= now; ++i) {
    Batch& batch = queue_[i];
    if (batch.outcome) continue;
    if (batch.sent()) {
      GiveUpSent("the append was not answered in time");
      continue;
    }
    std::string message = "the append could not be sent in time";
    if (!last_failure_.ok()) message += StrCat(": ", last_failure_.message());
    Answered(batch, MakeError(v1::TIMED_OUT, message));
  }
}

void AppenderCore::WatchSilence(Duration now) {
  if (!tail_ || in_flight_ == 0) return;
  if (now - last_progress_ >= options_.give_up_after) {
    LoseTail(v1::UNREACHABLE,
             MakeError(v1::TIMED_OUT, StrCat("chunkserver ", tail_->address, " is silent")), now);
  }
}

bool AppenderCore::MaySend(const Batch& batch, Duration now) const {
  if (in_flight_ == 0)
    // A lone record goes at once. In a stream of them every batch costs the
    // whole cluster a round of messages and syncs, so they gather first.
    return batch.closed || flushes_waiting_ > 0 || now >= next_small_ ||
           batch.size() >= options_.small_batch_bytes;
  if (in_flight_ >= options_.window_batches ||
      in_flight_bytes_ + batch.size() > options_.window_bytes)
    return false;
  if (batch.closed) return true;
  if (flushes_waiting_ > 0 && in_flight_ < options_.eager_batches) return true;
  // The fuller the pipe, the larger a batch must be to join it.
  uint64_t full =
      std::min(options_.small_batch_bytes << std::min(in_flight_ - 1, 4), options_.batch_bytes);
  return batch.size() >= full;
}

void AppenderCore::SendBatches(Output& output, Duration now) {
  for (; next_ < queue_.size(); ++next_) {
    Batch& batch = queue_[next_];
    if (batch.outcome) continue;
    if (!MaySend(batch, now)) return;
    batch.closed = true;
    if (!batch.sent()) {
      batch.predecessor = last_accepted_;
      for (size_t i = next_; i-- > 0;) {
        if (queue_[i].outcome && !queue_[i].outcome->ok()) continue;
        if (queue_[i].sent()) batch.predecessor = std::max(last_accepted_, queue_[i].sequence);
        break;
      }
      batch.sequence = sequences_.Next();
      last_batch_bytes_ = batch.size();
    }
    // Who flushed the last one is about to flush this one.
    if (flushes_waiting_ > 0 || next_small_ == Duration::zero() ||
        batch.size() >= options_.small_batch_bytes)
      output.awaited = true;
    if (in_flight_ == 0) last_progress_ = now;
    next_small_ = now + options_.pace;
    batch.in_flight = true;
    ++in_flight_;
    in_flight_bytes_ += batch.size();
    ++batch.unanswered_sends;
    output.send.push_back({tail_->handle, tail_->epoch, batch.sequence, batch.predecessor,
                           batch.expected, Buffer(batch.bytes, *batch.bytes), batch.crc32c});
  }
}

void AppenderCore::Ask(Output& output, Duration now) {
  if (asking_ || now < ask_at_ || queue_.empty()) return;
  if (!tail_) {
    output.ask = question_;
  } else if (in_flight_ > 0 && now - last_progress_ >= options_.doubt_after) {
    output.ask = TailQuestion{tail_->handle, tail_->epoch, v1::TIMED_OUT};
    ask_at_ = now + options_.doubt_after / 2;
  } else {
    return;
  }
  asking_ = true;
}

void AppenderCore::TakeAnswers(Output& output) {
  while (!queue_.empty() && queue_.front().outcome) {
    Batch& front = queue_.front();
    queued_bytes_ -= front.size();
    flushes_waiting_ -= static_cast<int>(front.flushes.size());
    output.answers.push_back({*std::move(front.outcome), std::move(front.records),
                              std::move(front.flushes), front.size()});
    queue_.pop_front();
    if (next_ > 0) --next_;
  }
  if (queue_.empty() && !flushes_.empty()) {
    Answer due;
    due.flushes = std::exchange(flushes_, {});
    output.answers.push_back(std::move(due));
  }
}

AppenderCore::Output AppenderCore::Poll(Duration now) {
  Output output;
  Expire(now);
  WatchSilence(now);
  TakeAnswers(output);
  if (tail_) SendBatches(output, now);
  Ask(output, now);
  return output;
}

Duration AppenderCore::NextWake(Duration now) const {
  Duration wake = queue_.empty() ? now + options_.timeout : queue_.front().deadline;
  if (!asking_ && !tail_) wake = std::min(wake, std::max(ask_at_, now));
  if (tail_ && in_flight_ > 0)
    wake = std::min(wake, std::max(last_progress_ + options_.doubt_after, ask_at_));
  if (tail_ && in_flight_ == 0 && next_ < queue_.size()) wake = std::min(wake, next_small_);
  return std::max(wake, now + std::chrono::microseconds(200));
}

Duration AppenderCore::AskDeadline(Duration now) const {
  return queue_.empty() ? now + std::chrono::seconds(1) : queue_.front().deadline;
}

}  // namespace appendfs
