#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "client/append_queue.h"
#include "client/append_types.h"
#include "common/clock.h"
#include "common/status.h"

namespace appendfs {

struct AppenderOptions {
  Duration timeout = std::chrono::seconds(30);   // of every record, from its queueing
  uint64_t batch_bytes = 1ull << 20;             // largest batch, hence largest record
  uint64_t small_batch_bytes = 64ull << 10;      // from here on a batch need not wait for company
  uint64_t window_bytes = 16ull << 20;           // sent and not answered
  int window_batches = 32;                       // the same; below what a primary remembers (64)
  int eager_batches = 4;                         // small batches in flight while someone flushes
  Duration pace = std::chrono::milliseconds(3);  // between small batches while nobody flushes
  Duration doubt_after = std::chrono::milliseconds(600);  // silence: ask if the tail still stands
  Duration give_up_after = std::chrono::seconds(6);       // silence: the tail has failed
};

// One file's appends: records in, batches out, outcomes in, answers out; the
// rules of exactly once live here. A state machine without threads, I/O or
// clock: an adapter (Appender) serialises the calls, and after each one that
// returns or implies news calls Poll and does what it says.
//
// Records gather in an open batch. A batch is closed when it is sent or full
// and never cut anew; it keeps its sequence, predecessor and checksum however
// often it is sent. Records fail definitely (and everything behind them too),
// time out unsent, or end IN_DOUBT if they were ever sent and their outcome
// did not arrive by their deadline or the session's end. A batch in doubt is
// given up: the next one names the last accepted one as its predecessor, so
// that a late copy of it is refused; under a new session, the next one waits
// for a new epoch, so that a late copy stands before it or nowhere.
class AppenderCore {
 public:
  using Appended = absl::AnyInvocable<void(absl::StatusOr<FileOffset>) &&>;
  using Flushed = absl::AnyInvocable<void() &&>;

  // Records that were answered together; Run tells them so. Run holds no lock.
  struct Answer {
    struct Record {
      uint32_t start = 0;  // within the batch
      Appended done;
      uint64_t id = 0;
    };
    absl::StatusOr<FileOffset> outcome = FileOffset();  // of the batch's first byte
    std::vector<Record> records;
    std::vector<Flushed> flushes;
    uint64_t bytes = 0;
    void Run() &&;
  };

  struct Output {
    std::vector<Answer> answers;      // in the order of the records
    std::vector<OutgoingBatch> send;  // in this order, to tail()
    bool awaited = false;             // somebody waits for what is sent, or it is large
    std::optional<TailQuestion> ask;  // answer with OnTail or OnTailError
  };

  AppenderCore(const AppenderOptions& options, ClientId client, SequenceSource& sequences)
      : options_(options), sequences_(sequences), client_(client) {}

  // Queues a record. True if Poll has something to do now.
  bool Queue(std::string_view record, std::optional<FileOffset> expected, Appended done,
             Duration now);
  // Answers a record that is not queued, in its turn.
  void Refuse(const absl::Status& status, Appended done, Duration now);
  // The id of the record that was queued last.
  uint64_t last_record() const { return records_; }
  // Whoever waits for the record does not wait any more. A record that was
  // never sent, and is the last one, is taken out of the queue and answered
  // with `why`; otherwise the answer is that it is in doubt, and it stays where
  // it is. Nothing if it was answered. The answer is due now.
  std::optional<Answer> Interrupt(uint64_t record, const absl::Status& why);
  // `done` runs after everything queued before was answered.
  void Flush(Flushed done);

  // --- what came in; call Poll afterwards ----------------------------------
  void OnTail(ClientId asked_as, const AppendTail& tail, Duration now);
  void OnTailError(const absl::Status& status, Duration now);
  // OK with the file offset of the batch's first byte, or the primary's error.
  void OnOutcome(ChunkHandle handle, Epoch epoch, Sequence sequence,
                 const absl::StatusOr<FileOffset>& outcome, Duration now);
  // The way to this tail is broken; nothing more comes back on it.
  void OnBroken(ChunkHandle handle, Epoch epoch, const absl::Status& why, Duration now);
  // The old session is gone; what was sent under it can not be sent again.
  void OnSession(ClientId client);
  // Ends everything: sent batches in doubt, the others with `status`.
  void Fail(const absl::Status& status);

  // Deadlines, silence, and everything that is due. Never calls back.
  Output Poll(Duration now);

  const std::optional<AppendTail>& tail() const { return tail_; }
  ClientId client() const { return client_; }
  bool idle() const { return queue_.empty() && flushes_.empty(); }
  uint64_t queued_bytes() const { return queued_bytes_; }
  // Has anything that is queued been sent, so that it may be in the file?
  bool in_doubt() const;
  AppendQueueReport Report(Duration now) const;
  // When Poll should be called again though nothing came; only if not idle.
  Duration NextWake(Duration now) const;
  // By when a question that is asked now must be answered.
  Duration AskDeadline(Duration now) const;

 private:
  struct Batch {
    Sequence sequence, predecessor;  // set when first sent
    std::optional<FileOffset> expected;
    std::shared_ptr<std::string> bytes;
    uint32_t crc32c = 0;
    std::vector<Answer::Record> records;
    std::vector<Flushed> flushes;
    Duration deadline{};
    bool closed = false;
    bool in_flight = false;    // sent on the present tail, no outcome yet
    int unanswered_sends = 0;  // on the present tail
    std::optional<absl::StatusOr<FileOffset>> outcome;

    bool sent() const { return bool(sequence); }
    uint64_t size() const { return bytes == nullptr ? 0 : bytes->size(); }
  };

  bool Accepts(const Batch& batch, size_t bytes, std::optional<FileOffset> expected) const;
  Batch& AddBatch(size_t bytes, std::optional<FileOffset> expected, Duration now);
  Batch* Find(Sequence sequence);
  void Land(Batch& batch);
  void Answered(Batch& batch, absl::StatusOr<FileOffset> outcome);
  void FailFrom(size_t index, const absl::Status& status);
  void Resend(size_t from);
  void LoseTail(Reason reason, const absl::Status& why, Duration now);
  void GiveUpSent(const char* why);
  void Expire(Duration now);
  void WatchSilence(Duration now);
  bool MaySend(const Batch& batch, Duration now) const;
  void SendBatches(Output& output, Duration now);
  void Ask(Output& output, Duration now);
  void TakeAnswers(Output& output);

  const AppenderOptions options_;
  SequenceSource& sequences_;
  ClientId client_;

  // Oldest first; only the last one may be open. [0, next_) were sent on tail_.
  std::deque<Batch> queue_;
  size_t next_ = 0;
  int in_flight_ = 0;  // of those, without an outcome
  uint64_t in_flight_bytes_ = 0;
  uint64_t queued_bytes_ = 0;
  uint64_t records_ = 0;          // queued so far
  int flushes_waiting_ = 0;       // attached to batches
  std::vector<Flushed> flushes_;  // nothing queued: due at once
  uint64_t last_batch_bytes_ = 4096;

  Sequence last_accepted_;  // highest sequence known to be accepted, of this client id
  std::optional<AppendTail> tail_;
  TailQuestion question_;  // names the tail that failed last
  TailQuestion doubt_;     // names the tail to which batches in doubt may be on their way
  bool asking_ = false;
  Duration ask_at_{};  // not before
  int failures_ = 0;   // tails lost or refused in a row
  absl::Status last_failure_;
  Duration last_progress_{};  // an outcome, or the first send into silence
  Duration next_small_{};     // when a small batch that nobody waits for may follow the last one
};

}  // namespace appendfs
