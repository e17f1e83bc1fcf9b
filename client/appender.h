#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/append_stream.h"
#include "client/appender_core.h"
#include "client/master_client.h"
#include "client/queue_budget.h"
#include "client/session.h"
#include "common/clock.h"
#include "common/executor.h"

namespace appendfs {

// Drives the AppenderCore of one file: gives it time and messages, and does
// what it says. Thread-safe. Callbacks run in order on threads of links, of gRPC
// or of the executor, holding no lock.
class Appender final : public AppendSink, public std::enable_shared_from_this<Appender> {
 public:
  using Appended = AppenderCore::Appended;
  using Flushed = AppenderCore::Flushed;

  // What a client's appenders share; outlives them.
  struct Shared {
    const Clock& clock;
    Executor& executor;
    MasterClient& master;
    AppendStreams& streams;
    Session& session;
    SequenceSource& sequences;
    QueueBudget& budget;
    AppenderOptions options;
  };

  Appender(InodeId inode, Shared& shared, std::shared_ptr<KnownSize> known);

  // If the caller's work has an Interruption that is fired before the record
  // is answered, `done` is told at once: with the interruption's status if the
  // record was never sent and never will be, else that it is in doubt.
  void Append(std::string_view record, std::optional<FileOffset> expected, Appended done);
  // Waits until the queue has room for a record of this size.
  absl::Status AwaitRoom(uint64_t bytes);
  // Runs `done` in the caller's thread if nothing is queued.
  void Flush(Flushed done);
  uint64_t queued_bytes() const;
  bool in_doubt() const;
  AppendQueueReport Report() const;
  // The first failure since the last call.
  absl::Status TakeFailure();

  void OnSession(ClientId client);
  // Everything queued fails with `status`, or in doubt. What there was.
  AppendQueueReport Fail(const absl::Status& status);

  void OnOutcome(const v1::AppendOutcome& outcome) override;
  void OnBroken(const AppendStream& stream, ChunkHandle handle, const absl::Status& why) override;

 private:
  void Interrupt(uint64_t record, const absl::Status& why);
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ask(const TailQuestion& question) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnTailAnswer(ClientId asked_as, const absl::StatusOr<v1::Chunk>& answer);
  void UseTail() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Arm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnTimer(Duration armed_for);
  // After each step, without the lock: sends and answers what it left.
  void Finish();
  void FlushStream();
  void Deliver();
  void DeliverLater();

  const InodeId inode_;
  Shared& shared_;
  const std::shared_ptr<KnownSize> known_;

  mutable absl::Mutex mutex_;
  AppenderCore core_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<AppendStream> stream_ ABSL_GUARDED_BY(mutex_);     // where attached_ is attached
  std::shared_ptr<AppendStream> unflushed_ ABSL_GUARDED_BY(mutex_);  // was given batches
  bool awaited_ ABSL_GUARDED_BY(mutex_) = false;                     // some of them
  std::optional<AppendTail> attached_ ABSL_GUARDED_BY(mutex_);
  Duration armed_ ABSL_GUARDED_BY(mutex_) = Duration::max();  // when the next timer fires
  std::vector<AppenderCore::Answer> due_ ABSL_GUARDED_BY(mutex_);
  bool delivering_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
