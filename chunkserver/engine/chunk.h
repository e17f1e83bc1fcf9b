#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "chunkserver/core/replica.h"
#include "chunkserver/core/sequencer.h"
#include "chunkserver/engine/links.h"
#include "chunkserver/engine/turn.h"
#include "chunkserver/store/chunk_store.h"

namespace appendfs {

// Who a chunk of the engine reaches beyond itself. Valid under the engine's lock.
class ChunkHost {
 public:
  virtual ~ChunkHost() = default;
  virtual Turn& turn() = 0;
  virtual ChunkStore& store() = 0;
  virtual std::shared_ptr<ClientSink> client(StreamId stream) = 0;  // null: gone
  virtual void AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) = 0;
};

// One open replica at this server and, if this server is its primary, the
// sequencer: wires the two cores to each other, the store, the links and the
// client streams. Owned by the engine, used under its lock.
class Chunk final : private Replica::Output, private Sequencer::Output {
 public:
  struct Member {
    ServerId id;
    std::shared_ptr<PeerLink> link;  // null: this server
  };

  Chunk(ChunkHost& host, const ReplicaState& state);

  void BecomePrimary(Sequencer::Setup setup, const Sequencer::Options& options,
                     std::vector<Member> members);
  // Batches not yet committed are answered with `why`; does nothing if this
  // server is not the primary.
  void ResignPrimary(const absl::Status& why);

  // As primary. Append answers NOT_PRIMARY if it is not.
  void Append(const ClientBatch& batch, uint64_t wall_ns, Duration now);
  void OnVote(ServerId from, const Vote& vote, Duration now);
  void OnConfirm(ServerId from, const ConfirmAnswer& answer);
  void OnPeerBroken(ServerId peer);
  absl::Status AskFresh(uint64_t token, Epoch epoch, bool readable_here, Duration now);
  void Tick(Duration now);
  void ReportIfIdle(Duration now) {
    if (sequencer_) sequencer_->ReportIfIdle(now);
  }

  // As replica.
  void OnReady(const Ready& ready, const std::shared_ptr<VoteSink>& from);
  void OnCommit(const Commit& commit) { replica_.OnCommit(commit); }
  // That stream has ended; its socket goes with the last who knows it.
  void OnPrimaryGone(const std::shared_ptr<VoteSink>& stream) {
    if (vote_to_ == stream) vote_to_ = nullptr;
  }
  ConfirmAnswer OnConfirm(const Confirm& confirm) const { return replica_.OnConfirm(confirm); }
  void OnStored(uint64_t durable_length, const absl::Status& status, Duration now);
  // The disk below is gone: tells whoever waits for this replica.
  void Lose(const absl::Status& why);
  // Resigns too if it was primary of an older epoch.
  absl::Status Promise(Epoch epoch);
  // It takes appends under its epoch since the master said so, to this process:
  // nothing that was decided before may be done to it any more.
  void SetOpened() { opened_epoch_ = epoch(); }
  bool opened() const { return opened_epoch_ == epoch(); }

  bool primary() const { return sequencer_.has_value() && !sequencer_->stopped(); }
  bool degraded() const { return sequencer_.has_value() && sequencer_->degraded(); }
  bool needs_tick() const { return sequencer_.has_value() && sequencer_->needs_tick(); }
  Epoch epoch() const { return replica_.epoch(); }
  const Sequencer* sequencer() const { return sequencer_ ? &*sequencer_ : nullptr; }

 private:
  // Replica::Output
  void Store(const Ready& batch) override;
  void ShowCommitted(uint64_t length) override;
  void CastVote(const Vote& vote) override;
  // Sequencer::Output
  void SendReady(ServerId to, const Ready& ready, When when) override {
    Send(to, ready, when == When::kNow ? &Turn::Flush : &Turn::FlushSoon);
  }
  // A commit can wait: whoever needs the length asks the primary. A message of
  // its own for each would cost as much as the READY did.
  void SendCommit(ServerId to, const Commit& commit) override {
    Send(to, commit, &Turn::FlushLater);
  }
  void SendConfirm(ServerId to, const Confirm& confirm) override {
    Send(to, confirm, &Turn::Flush);
  }
  void AnswerClient(StreamId to, const ClientOutcome& outcome) override;
  void Release(StreamId stream, uint64_t bytes) override;
  void AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) override;
  void Report(const ChunkEvent& event) override { host_.turn().Report(event); }

  using Flushing = void (Turn::*)(const std::shared_ptr<Outlet>&);
  template <class Message>
  void Send(ServerId to, const Message& message, Flushing flush);
  void Deliver(const Ready& ready) { replica_.OnReady(ready); }
  void Deliver(const Commit& commit) { replica_.OnCommit(commit); }
  void Deliver(const Confirm&) {}
  void CountOwnVotes(Duration now);

  ChunkHost& host_;
  const ReplicaIdentity identity_;
  Replica replica_;
  std::optional<Sequencer> sequencer_;
  Epoch opened_epoch_;
  std::vector<Member> members_;        // while primary
  std::shared_ptr<VoteSink> vote_to_;  // of the other server that is primary
  std::vector<Vote> own_votes_;        // not yet told to the sequencer
};

}  // namespace appendfs
