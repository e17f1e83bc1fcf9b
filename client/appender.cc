#include "client/appender.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "common/interruption.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// One question to the master; the core asks again until its records expire. A
// recovery takes less, and one that was lost costs all of it.
constexpr Duration kQuestion = std::chrono::seconds(4);
constexpr Duration kDoubt = std::chrono::seconds(2);

absl::StatusOr<AppendTail> ToTail(const v1::Chunk& chunk) {
  AppendTail tail{ChunkHandle(chunk.handle()), Epoch(chunk.epoch()), ServerId(chunk.primary_id())};
  for (const v1::ServerAddress& replica : chunk.replicas())
    if (replica.server_id() == chunk.primary_id()) tail.address = replica.address();
  if (tail.address.empty())
    return MakeError(v1::NOT_READY, StrCat("the primary of chunk=", tail.handle, ", server ",
                                           tail.primary, ", has no address now"));
  return tail;
}

absl::Status NoRoom() {
  absl::Status interrupted = InterruptionStatus();
  if (!interrupted.ok()) return interrupted;
  return MakeError(v1::TIMED_OUT, "the append queue stayed full");
}

}  // namespace

Appender::Appender(InodeId inode, Shared& shared, std::shared_ptr<KnownSize> known)
    : inode_(inode),
      shared_(shared),
      known_(std::move(known)),
      core_(shared.options, shared.session.id(), shared.sequences) {}

void Appender::Append(std::string_view record, std::optional<FileOffset> expected, Appended done) {
  bool refused = record.empty() || record.size() > shared_.options.batch_bytes;
  bool room = refused || shared_.budget.Acquire(record.size(), shared_.options.timeout);
  Interruption* const interruption = Interruption::OfWorkHandedOn();
  uint64_t id = 0;
  {
    absl::MutexLock lock(&mutex_);
    Duration now = shared_.clock.Monotonic();
    if (!room) {
      core_.Refuse(NoRoom(), std::move(done), now);
      Step();
    } else if (core_.Queue(record, expected, std::move(done), now)) {
      Step();
    }
    id = core_.last_record();
    if (!due_.empty()) DeliverLater();
  }
  FlushStream();
  if (interruption != nullptr)
    interruption->Add([weak = weak_from_this(), id, interruption] {
      if (auto self = weak.lock()) self->Interrupt(id, interruption->status());
    });
}

absl::Status Appender::AwaitRoom(uint64_t bytes) {
  return shared_.budget.AwaitRoom(bytes, shared_.options.timeout) ? absl::OkStatus() : NoRoom();
}

void Appender::Interrupt(uint64_t record, const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    std::optional<AppenderCore::Answer> answer = core_.Interrupt(record, why);
    if (!answer) return;
    due_.push_back(*std::move(answer));
    Step();
  }
  Finish();
}

void Appender::Flush(Flushed done) {
  {
    absl::MutexLock lock(&mutex_);
    if (!core_.idle() || !due_.empty() || delivering_) {
      core_.Flush(std::exchange(done, nullptr));
      Step();
      unflushed_ = stream_;  // what was in no hurry when it was sent is now
      awaited_ = true;
      if (!due_.empty()) DeliverLater();
    }
  }
  if (done) return std::move(done)();
  FlushStream();
}

uint64_t Appender::queued_bytes() const {
  absl::MutexLock lock(&mutex_);
  return core_.queued_bytes();
}

bool Appender::in_doubt() const {
  absl::MutexLock lock(&mutex_);
  return core_.in_doubt();
}

AppendQueueReport Appender::Report() const {
  absl::MutexLock lock(&mutex_);
  AppendQueueReport report = core_.Report(shared_.clock.Monotonic());
  report.inode = inode_;
  return report;
}

absl::Status Appender::TakeFailure() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(failure_, absl::OkStatus());
}

void Appender::OnSession(ClientId client) {
  {
    absl::MutexLock lock(&mutex_);
    core_.OnSession(client);
    DropStream();
    Step();
  }
  Finish();
}

AppendQueueReport Appender::Fail(const absl::Status& status) {
  AppendQueueReport report;
  {
    absl::MutexLock lock(&mutex_);
    report = core_.Report(shared_.clock.Monotonic());
    core_.Fail(status);
    Step();
  }
  Finish();
  return report;
}

void Appender::OnOutcome(const v1::AppendOutcome& outcome) {
  {
    absl::StatusOr<FileOffset> result(FileOffset(outcome.offset()));
    if (outcome.has_error()) result = FromProto(outcome.error());
    absl::MutexLock lock(&mutex_);
    core_.OnOutcome(ChunkHandle(outcome.handle()), Epoch(outcome.epoch()),
                    Sequence(outcome.sequence()), result, shared_.clock.Monotonic());
    Step();
  }
  Finish();
}

void Appender::OnBroken(const AppendStream& stream, ChunkHandle handle, const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (stream_.get() != &stream || !attached_ || attached_->handle != handle) return;
    LOG(WARNING) << "append stream broken: inode=" << inode_ << " chunk=" << handle << ": "
                 << why.message();
    core_.OnBroken(handle, attached_->epoch, why, shared_.clock.Monotonic());
    DropStream();
    Step();
  }
  Finish();
}

void Appender::Step() {
  while (true) {
    AppenderCore::Output output = core_.Poll(shared_.clock.Monotonic());
    for (AppenderCore::Answer& answer : output.answers) due_.push_back(std::move(answer));
    if (output.ask) Ask(*output.ask);
    if (output.send.empty()) break;
    awaited_ |= output.awaited;
    if (stream_ != nullptr && stream_->Send(std::move(output.send))) {
      unflushed_ = stream_;
      break;
    }
    core_.OnBroken(attached_->handle, attached_->epoch,
                   MakeError(v1::UNREACHABLE,
                             StrCat("chunkserver ", attached_->address, ": the connection broke")),
                   shared_.clock.Monotonic());
    DropStream();
  }
  Arm();
}

void Appender::Ask(const TailQuestion& question) {
  v1::OpenTailRequest request;
  ClientId client = core_.client();
  request.set_client_id(client.value());
  request.set_inode(inode_.value());
  request.set_failed_handle(question.failed_handle.value());
  request.set_failed_epoch(question.failed_epoch.value());
  request.set_failed_reason(question.failed_reason);
  Duration now = shared_.clock.Monotonic();
  Duration deadline = std::min(core_.AskDeadline(now), now + (core_.tail() ? kDoubt : kQuestion));
  if (question.failed_handle)
    LOG(INFO) << "asking for another tail: inode=" << inode_ << " chunk=" << question.failed_handle
              << " epoch=" << question.failed_epoch << " client=" << client
              << " reason=" << ReasonName(question.failed_reason);
  shared_.master.OpenTail(request, deadline,
                          [weak = weak_from_this(), client](absl::StatusOr<v1::Chunk> answer) {
                            if (auto self = weak.lock()) self->OnTailAnswer(client, answer);
                          });
}

void Appender::OnTailAnswer(ClientId asked_as, const absl::StatusOr<v1::Chunk>& answer) {
  if (HasReason(answer.status(), v1::SESSION_EXPIRED)) shared_.session.OnExpired(asked_as);
  {
    absl::StatusOr<AppendTail> tail = answer.ok() ? ToTail(*answer) : answer.status();
    absl::MutexLock lock(&mutex_);
    Duration now = shared_.clock.Monotonic();
    if (tail.ok())
      core_.OnTail(asked_as, *tail, now);
    else
      core_.OnTailError(tail.status(), now);
    UseTail();
    Step();
  }
  Finish();
}

void Appender::UseTail() {
  if (!core_.tail() || (attached_ && attached_->Same(*core_.tail()) && stream_ != nullptr)) return;
  DropStream();
  attached_ = core_.tail();
  stream_ = shared_.streams.Get(attached_->address, core_.client());
  stream_->Attach(attached_->handle, weak_from_this());
}

void Appender::DropStream() {
  if (stream_ != nullptr) stream_->Detach(attached_->handle);
  stream_.reset();
  attached_.reset();
}

void Appender::Arm() {
  if (core_.idle()) return;
  Duration now = shared_.clock.Monotonic();
  Duration wake = core_.NextWake(now);
  if (armed_ <= wake) return;
  armed_ = wake;
  shared_.executor.PostAfter(wake - now, [weak = weak_from_this(), wake] {
    if (auto self = weak.lock()) self->OnTimer(wake);
  });
}

void Appender::OnTimer(Duration armed_for) {
  {
    absl::MutexLock lock(&mutex_);
    if (armed_ != armed_for) return;  // an earlier one was armed since
    armed_ = Duration::max();
    Step();
  }
  Finish();
}

void Appender::Finish() {
  FlushStream();
  Deliver();
}

void Appender::FlushStream() {
  std::shared_ptr<AppendStream> stream;
  bool awaited = false;
  {
    absl::MutexLock lock(&mutex_);
    stream = std::exchange(unflushed_, nullptr);
    awaited = std::exchange(awaited_, false);
  }
  if (stream == nullptr) return;
  if (awaited)
    stream->Flush();
  else
    stream->FlushSoon();
}

void Appender::DeliverLater() {
  shared_.executor.Post([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Deliver();
  });
}

void Appender::Deliver() {
  mutex_.Lock();
  if (delivering_) {  // that thread takes what is due now, too
    mutex_.Unlock();
    return;
  }
  delivering_ = true;
  while (!due_.empty()) {
    std::vector<AppenderCore::Answer> answers = std::exchange(due_, {});
    for (const AppenderCore::Answer& answer : answers)
      if (!answer.outcome.ok() && !answer.records.empty() && failure_.ok())
        failure_ = answer.outcome.status();
    mutex_.Unlock();
    for (AppenderCore::Answer& answer : answers) {
      if (answer.outcome.ok() && answer.bytes > 0)
        known_->Raise((*answer.outcome + answer.bytes).bytes());
      shared_.budget.Release(answer.bytes);
      std::move(answer).Run();
    }
    mutex_.Lock();
  }
  delivering_ = false;
  mutex_.Unlock();
}

}  // namespace appendfs
