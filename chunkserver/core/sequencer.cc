#include "chunkserver/core/sequencer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {

Sequencer::Sequencer(Setup setup, const Options& options, Output& output)
    : handle_(setup.handle),
      epoch_(setup.epoch),
      base_offset_(setup.base_offset),
      capacity_(setup.capacity),
      self_(setup.self),
      options_(options),
      output_(output),
      memory_(std::move(setup.memory)),
      accepted_(setup.length),
      committed_(setup.length),
      accepted_mtime_ns_(setup.mtime_ns),
      committed_mtime_ns_(setup.length > 0 ? setup.mtime_ns : 0),
      fresh_(setup.epoch.value() << 32) {
  members_.push_back({self_, setup.length});
  for (ServerId id : setup.members)
    if (id != self_) members_.push_back({id, setup.length});
  ChooseSpare();
}

void Sequencer::Append(const ClientBatch& batch, uint64_t wall_ns, Duration now) {
  last_append_ = now;
  if (stopped()) return Refuse(batch, stop_reason_);
  if (batch.epoch != epoch_)
    return Refuse(
        batch, MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle_, " has epoch=", epoch_, ", not ",
                                                 batch.epoch, "; ask the master")));
  if (!batch.intact)
    return Refuse(batch, MakeError(v1::CHECKSUM_MISMATCH,
                                   StrCat("chunk=", handle_, " client=", batch.client, " sequence=",
                                          batch.sequence, ": damaged on the way; send it again")));
  if (batch.payload.empty() || !batch.sequence || !batch.client)
    return Refuse(batch, MakeError(v1::INVALID, "a batch needs bytes, a client and a sequence"));
  if (batch.sequence <= memory_.Last(batch.client) && !PLANTED(kDuplicateNewOffset)) {
    const DedupMemory::Outcome* known = memory_.Find(batch.client, batch.sequence);
    if (known != nullptr) return AnswerKnown(batch, *known);
    return Refuse(batch, MakeError(v1::SEQUENCE_FORGOTTEN,
                                   StrCat("chunk=", handle_, " client=", batch.client, " sequence=",
                                          batch.sequence, " is below what is remembered")));
  }
  if (absl::Status status = Accept(batch); !status.ok()) return Refuse(batch, std::move(status));
  Order(batch, wall_ns);
  NoteWhoIsBehind(now);
}

absl::Status Sequencer::Full(const ClientBatch& batch) {
  if (!full_) {
    full_ = true;
    output_.Report({ChunkEvent::Kind::kChunkFull, handle_, epoch_, self_});
  }
  return MakeError(v1::CHUNK_FULL,
                   StrCat("chunk=", handle_, " is full; ask the master for the next"));
}

absl::Status Sequencer::Accept(const ClientBatch& batch) {
  if (batch.payload.size() > capacity_)
    return MakeError(v1::TOO_LARGE, StrCat("a batch of ", batch.payload.size(),
                                           " bytes is larger than a chunk of ", capacity_));
  if (full_) return Full(batch);
  Sequence last = memory_.Last(batch.client);
  if (batch.predecessor > last && !PLANTED(kAcceptAfterGap))
    return MakeError(
        v1::PREDECESSOR_MISSING,
        StrCat("chunk=", handle_, " client=", batch.client, " sequence=", batch.sequence,
               " comes after ", batch.predecessor, ", but ", last, " is the last one here"));
  if (batch.conditional && batch.expected_offset != InFile(accepted_))
    return MakeError(v1::EOF_MISMATCH, StrCat("the file ends at ", InFile(accepted_), ", not at ",
                                              batch.expected_offset));
  if (batch.payload.size() > capacity_ - accepted_ || !memory_.HasRoomFor(batch.client))
    return Full(batch);
  return absl::OkStatus();
}

void Sequencer::Refuse(const ClientBatch& batch, absl::Status why) {
  output_.AnswerClient(batch.stream, {batch.handle, batch.epoch, batch.sequence, FileOffset(), 0,
                                      std::move(why), batch.payload.size()});
}

void Sequencer::AnswerKnown(const ClientBatch& batch, const DedupMemory::Outcome& known) {
  if (known.length != batch.payload.size())
    return Refuse(batch,
                  MakeError(v1::INVALID, StrCat("chunk=", handle_, " client=", batch.client,
                                                " sequence=", batch.sequence, " had ", known.length,
                                                " bytes, not ", batch.payload.size())));
  if (known.offset + known.length <= InFile(committed_)) {
    uint64_t mtime_ns = committed_mtime_ns_ != 0 ? committed_mtime_ns_ : accepted_mtime_ns_;
    return output_.AnswerClient(batch.stream,
                                {batch.handle, batch.epoch, batch.sequence, known.offset, mtime_ns,
                                 absl::OkStatus(), batch.payload.size()});
  }
  uint64_t offset = known.offset - base_offset_;
  auto waiting = std::lower_bound(
      pending_.begin(), pending_.end(), offset,
      [](const Pending& pending, uint64_t wanted) { return pending.offset < wanted; });
  if (waiting == pending_.end() || waiting->offset != offset)
    return Refuse(batch, MakeError(v1::SEQUENCE_FORGOTTEN,
                                   StrCat("chunk=", handle_, " client=", batch.client,
                                          " sequence=", batch.sequence, " is remembered at ",
                                          known.offset, ", where nothing of it is")));
  // Not committed and remembered: it is pending. It answers whoever asked last.
  if (waiting->stream == batch.stream) {
    waiting->charge += batch.payload.size();
    return;
  }
  output_.Release(waiting->stream, waiting->charge);
  waiting->stream = batch.stream;
  waiting->charge = batch.payload.size();
}

void Sequencer::Order(const ClientBatch& batch, uint64_t wall_ns) {
  accepted_mtime_ns_ = std::max(accepted_mtime_ns_, wall_ns);
  const auto length = static_cast<uint32_t>(batch.payload.size());
  const Ready ready{handle_,      epoch_,       accepted_,      batch.payload,
                    batch.crc32c, batch.client, batch.sequence, accepted_mtime_ns_};
  memory_.Add(batch.client, {batch.sequence, InFile(accepted_), length});
  pending_.push_back(
      {batch.client, batch.sequence, accepted_, length, accepted_mtime_ns_, batch.stream, length});
  accepted_ += length;
  const bool gathers = length < options_.gather_bytes;
  for (const Member& member : members_) {
    if (member.lagging) continue;
    const bool soon = gathers && member.id == spare_;
    output_.SendReady(member.id, ready, soon ? Output::When::kSoon : Output::When::kNow);
  }
}

void Sequencer::ChooseSpare() {
  if (degraded() || members_.size() <= kWriteQuorum) {
    spare_ = ServerId();
    return;
  }
  const Member* slowest = Find(spare_);
  for (const Member& member : members_)
    if (member.id != self_ && (slowest == nullptr || member.durable < slowest->durable))
      slowest = &member;
  spare_ = slowest->id;
}

Sequencer::Member* Sequencer::Find(ServerId id) {
  for (Member& member : members_)
    if (member.id == id) return &member;
  return nullptr;
}

void Sequencer::OnVote(ServerId from, const Vote& vote, Duration now) {
  Member* member = Find(from);
  if (stopped() || member == nullptr || vote.epoch != epoch_) return;
  if (!vote.status.ok()) {
    if (HasReason(vote.status, v1::STALE_EPOCH) || HasReason(vote.status, v1::CHUNK_SEALED))
      return Stop(vote.status);
    return MarkLagging(*member);
  }
  if (vote.durable_length > accepted_ || vote.durable_length <= member->durable) return;
  member->durable = vote.durable_length;
  member->behind_since = now;
  AdvanceCommit();
  if (stopped()) return;
  if (from != self_) fresh_.OnVote(vote.durable_length, committed_);
  NoteWhoIsBehind(now);
  AnswerQuestions();
}

// Committed is what a quorum of members holds durably. Votes of members that
// lag since stay true.
void Sequencer::AdvanceCommit() {
  absl::InlinedVector<uint64_t, kReplicationFactor> durable;
  for (const Member& member : members_) durable.push_back(member.durable);
  if (durable.size() < kWriteQuorum) return;
  std::nth_element(durable.begin(), durable.begin() + (kWriteQuorum - 1), durable.end(),
                   std::greater<>());
  uint64_t committed = durable[PLANTED(kAckAfterOneVote) ? 0 : kWriteQuorum - 1];
  if (committed <= committed_) return;
  committed_ = committed;
  for (const Member& member : members_)
    if (!member.lagging || member.id == self_)
      output_.SendCommit(member.id, {handle_, epoch_, committed_});
  while (!pending_.empty() && pending_.front().offset + pending_.front().length <= committed_) {
    const Pending& done = pending_.front();
    committed_mtime_ns_ = done.mtime_ns;
    output_.AnswerClient(done.stream, {handle_, epoch_, done.sequence, InFile(done.offset),
                                       done.mtime_ns, absl::OkStatus(), done.charge});
    pending_.pop_front();
  }
  for (Member& member : members_)
    if (!stopped() && committed_ > member.durable + options_.max_lag_bytes) MarkLagging(member);
}

void Sequencer::NoteWhoIsBehind(Duration now) {
  uint64_t most = 0;
  for (const Member& member : members_) most = std::max(most, member.durable);
  for (Member& member : members_) {
    if (member.durable < most && !member.behind) member.behind_since = now;
    member.behind = member.durable < most;
  }
  ChooseSpare();
}

void Sequencer::MarkLagging(Member& member) {
  if (member.lagging) return;
  member.lagging = true;
  ChooseSpare();
  output_.Report({ChunkEvent::Kind::kReplicaLagging, handle_, epoch_, member.id});
  auto keeping_up = std::count_if(members_.begin(), members_.end(),
                                  [](const Member& other) { return !other.lagging; });
  if (keeping_up < kWriteQuorum)
    Stop(MakeError(v1::QUORUM_LOST, StrCat("chunk=", handle_, " epoch=", epoch_, ": ", keeping_up,
                                           " of ", members_.size(), " replicas keep up")));
}

void Sequencer::OnPeerBroken(ServerId id) {
  Member* member = Find(id);
  if (!stopped() && member != nullptr) MarkLagging(*member);
}

void Sequencer::AskFresh(uint64_t token, bool readable_here, Duration now) {
  if (stopped()) return output_.AnswerFresh(token, stop_reason_);
  SendRound(fresh_.Ask(token, readable_here, accepted_, now));
}

void Sequencer::SendRound(uint64_t round) {
  if (round == 0) return;
  for (const Member& member : members_)
    if (!member.lagging && member.id != self_)
      output_.SendConfirm(member.id, {handle_, epoch_, round});
}

void Sequencer::OnConfirm(ServerId from, const ConfirmAnswer& answer) {
  if (stopped() || from == self_ || Find(from) == nullptr || !answer.status.ok()) return;
  if (answer.promised > epoch_)
    return Stop(MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle_, " epoch=", epoch_, ": server ",
                                                  from, " has promised ", answer.promised)));
  if (answer.promised != epoch_) return;
  SendRound(fresh_.OnRound(answer.round, committed_));
  AnswerQuestions();
}

void Sequencer::AnswerQuestions() {
  if (fresh_.empty()) return;
  for (const Freshness::Question& question : fresh_.TakeAnswerable(OwnDurable())) {
    uint64_t length = question.readable_here ? std::min(committed_, OwnDurable()) : committed_;
    output_.AnswerFresh(question.token, FreshLength{length, committed_mtime_ns_, false});
  }
}

void Sequencer::FailQuestions(const std::vector<Freshness::Question>& questions,
                              const absl::Status& why) {
  for (const Freshness::Question& question : questions) output_.AnswerFresh(question.token, why);
}

void Sequencer::Tick(Duration now) {
  if (!degraded() && !full_) last_report_ = now;
  if (!stopped()) {
    FailQuestions(fresh_.TakeTimedOut(now, options_.confirm_timeout),
                  MakeError(v1::QUORUM_LOST, StrCat("chunk=", handle_, " epoch=", epoch_,
                                                    ": no replica confirmed it in time")));
    for (Member& member : members_)
      if (!stopped() && member.behind && now - member.behind_since > options_.lag_timeout)
        MarkLagging(member);
  }
  if (now - last_report_ < options_.report_interval) return;
  last_report_ = now;
  for (const Member& member : members_)
    if (member.lagging)
      output_.Report({ChunkEvent::Kind::kReplicaLagging, handle_, epoch_, member.id});
  if (full_) output_.Report({ChunkEvent::Kind::kChunkFull, handle_, epoch_, self_});
}

void Sequencer::ReportIfIdle(Duration now) {
  if (last_append_ == Duration::zero()) last_append_ = now;
  if (stopped() || !pending_.empty() || now - last_append_ < options_.idle_after) return;
  last_append_ = now;
  output_.Report({ChunkEvent::Kind::kChunkIdle, handle_, epoch_, self_});
}

void Sequencer::Stop(const absl::Status& why) {
  if (stopped()) return;
  stop_reason_ = why;
  for (const Pending& open : pending_)
    output_.AnswerClient(open.stream,
                         {handle_, epoch_, open.sequence, FileOffset(), 0, why, open.charge});
  pending_.clear();
  FailQuestions(fresh_.TakeAll(), why);
}

bool Sequencer::degraded() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const Member& member) { return member.lagging; });
}

}  // namespace appendfs
