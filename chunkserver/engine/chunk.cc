#include "chunkserver/engine/chunk.h"

#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {

Chunk::Chunk(ChunkHost& host, const ReplicaState& state)
    : host_(host),
      identity_(state.identity),
      replica_({state.identity.handle, state.epoch, state.identity.capacity, state.durable_length,
                state.committed_length},
               Replica::Options(), *this) {}

void Chunk::BecomePrimary(Sequencer::Setup setup, const Sequencer::Options& options,
                          std::vector<Member> members) {
  members_ = std::move(members);
  vote_to_ = nullptr;
  sequencer_.emplace(std::move(setup), options, static_cast<Sequencer::Output&>(*this));
}

void Chunk::ResignPrimary(const absl::Status& why) {
  if (!sequencer_) return;
  sequencer_->Stop(why);
  sequencer_.reset();
  members_.clear();
  own_votes_.clear();
}

void Chunk::Append(const ClientBatch& batch, uint64_t wall_ns, Duration now) {
  if (!sequencer_) {
    Reason reason = batch.epoch < epoch() ? v1::STALE_EPOCH : v1::NOT_PRIMARY;
    return AnswerClient(batch.stream,
                        {batch.handle, batch.epoch, batch.sequence, FileOffset(), 0,
                         MakeError(reason, StrCat("this server is not primary of chunk=",
                                                  batch.handle, " epoch=", batch.epoch)),
                         batch.payload.size()});
  }
  sequencer_->Append(batch, wall_ns, now);
  CountOwnVotes(now);
}

void Chunk::OnVote(ServerId from, const Vote& vote, Duration now) {
  if (sequencer_) sequencer_->OnVote(from, vote, now);
}

void Chunk::OnConfirm(ServerId from, const ConfirmAnswer& answer) {
  if (sequencer_) sequencer_->OnConfirm(from, answer);
}

void Chunk::OnPeerBroken(ServerId peer) {
  if (sequencer_) sequencer_->OnPeerBroken(peer);
}

absl::Status Chunk::AskFresh(uint64_t token, Epoch asked, bool readable_here, Duration now) {
  if (asked < epoch() || (sequencer_ && sequencer_->epoch() != asked))
    return MakeError(v1::STALE_EPOCH,
                     StrCat("chunk=", identity_.handle, " has epoch=", epoch(), ", not ", asked));
  if (!sequencer_)
    return MakeError(
        v1::NOT_PRIMARY,
        StrCat("this server is not primary of chunk=", identity_.handle, " epoch=", asked));
  sequencer_->AskFresh(token, readable_here, now);
  return absl::OkStatus();
}

void Chunk::Tick(Duration now) {
  if (sequencer_) sequencer_->Tick(now);
}

void Chunk::OnReady(const Ready& ready, const std::shared_ptr<VoteSink>& from) {
  vote_to_ = from;
  // The order to open may be lost, and a copy that recovery sent still be under
  // way: it would take back what is voted for here.
  if (ready.epoch == epoch() && !opened())
    return CastVote({ready.handle, ready.epoch, 0,
                     MakeError(v1::NOT_READY, StrCat("chunk=", ready.handle, " epoch=", ready.epoch,
                                                     " has not been opened here"))});
  replica_.OnReady(ready);
}

void Chunk::OnStored(uint64_t durable_length, const absl::Status& status, Duration now) {
  replica_.OnDurable(durable_length);
  if (!status.ok()) replica_.OnFailed(status);
  CountOwnVotes(now);
}

void Chunk::Lose(const absl::Status& why) {
  ResignPrimary(MakeError(v1::REPLICA_DAMAGED, FromAbsl(why.message())));
  replica_.OnFailed(why);
}

absl::Status Chunk::Promise(Epoch epoch) {
  APPENDFS_RETURN_IF_ERROR(replica_.Promise(epoch));
  if (sequencer_ && sequencer_->epoch() < epoch)
    ResignPrimary(MakeError(PLANTED(kDefiniteWhenFenced) ? v1::NO_SPACE : v1::STALE_EPOCH,
                            StrCat("chunk=", identity_.handle, " was fenced by epoch=", epoch)));
  return absl::OkStatus();
}

void Chunk::Store(const Ready& batch) {
  host_.store().Submit(AppendBatch{batch.handle, batch.epoch, batch.offset, batch.payload,
                                   batch.crc32c, batch.client, batch.sequence, batch.mtime_ns},
                       0);
}

void Chunk::ShowCommitted(uint64_t length) { host_.store().SetCommitted(identity_.handle, length); }

void Chunk::CastVote(const Vote& vote) {
  if (sequencer_) {
    own_votes_.push_back(vote);
  } else if (vote_to_) {
    vote_to_->Queue(vote);
    host_.turn().Flush(vote_to_);
  }
}

// The sequencer must not be called back while it sends to its own replica.
void Chunk::CountOwnVotes(Duration now) {
  while (!own_votes_.empty() && sequencer_) {
    std::vector<Vote> votes = std::exchange(own_votes_, {});
    for (const Vote& vote : votes) sequencer_->OnVote(members_.front().id, vote, now);
  }
  own_votes_.clear();
}

template <class Message>
void Chunk::Send(ServerId to, const Message& message, Flushing flush) {
  for (const Member& member : members_) {
    if (member.id != to) continue;
    if (member.link == nullptr) return Deliver(message);
    member.link->Queue(message);
    (host_.turn().*flush)(member.link);
    return;
  }
}

void Chunk::AnswerClient(StreamId to, const ClientOutcome& outcome) {
  std::shared_ptr<ClientSink> sink = host_.client(to);
  if (sink == nullptr) return;
  sink->Queue(outcome);
  host_.turn().Flush(sink);
}

void Chunk::Release(StreamId stream, uint64_t bytes) {
  std::shared_ptr<ClientSink> sink = host_.client(stream);
  if (sink == nullptr) return;
  sink->Release(bytes);
  host_.turn().Flush(sink);
}

void Chunk::AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) {
  host_.AnswerFresh(token, answer);
}

}  // namespace appendfs
