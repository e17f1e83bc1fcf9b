#pragma once

#include <cstdint>
#include <map>

#include "chunkserver/core/messages.h"

namespace appendfs {

// One open replica of a chunk: takes batches in the primary's order, has them
// made durable, votes, and shows what is committed. Everything of an epoch
// other than the one it has promised is refused. Sealed and damaged replicas
// are of no concern to it; whoever owns it drops it when it becomes one.
//
// A plain state machine; not thread-safe; Output must not call back.
class Replica {
 public:
  class Output {
   public:
    virtual ~Output() = default;
    // Makes the batch durable; OnDurable or OnFailed says when, in order.
    virtual void Store(const Ready& batch) = 0;
    virtual void ShowCommitted(uint64_t length) = 0;
    // To whoever sent the last READY.
    virtual void CastVote(const Vote& vote) = 0;
  };

  struct Options {
    uint64_t max_buffered_bytes = 16ull << 20;  // of batches that came before their turn
  };

  struct Setup {
    ChunkHandle handle;
    Epoch epoch;  // promised
    uint64_t capacity = 0;
    uint64_t durable_length = 0;
    uint64_t committed_length = 0;
  };

  Replica(const Setup& setup, const Options& options, Output& output);
  Replica(const Replica&) = delete;

  void OnReady(const Ready& ready);
  void OnCommit(const Commit& commit);
  ConfirmAnswer OnConfirm(const Confirm& confirm) const;

  // Everything below `length` that was stored is durable.
  void OnDurable(uint64_t length);
  // A batch could not be stored; nothing more is taken in this epoch.
  void OnFailed(const absl::Status& why);

  // Promises to refuse everything below `epoch`, at once; the caller makes the
  // promise durable. Error: STALE_EPOCH.
  absl::Status Promise(Epoch epoch);

  Epoch epoch() const { return epoch_; }
  uint64_t durable_length() const { return durable_; }
  uint64_t committed_length() const { return shown_; }

 private:
  absl::Status Check(const Ready& ready) const;
  void Refuse(const Ready& ready, absl::Status why);
  void Take(const Ready& ready);
  void TakeBuffered();
  void Show();

  const ChunkHandle handle_;
  const uint64_t capacity_;
  const Options options_;
  Output& output_;

  Epoch epoch_;
  Epoch voting_epoch_;  // of the batches that are being stored
  uint64_t stored_;     // handed to the store
  uint64_t durable_;
  uint64_t committed_;  // as the primary said; may be ahead of durable_
  uint64_t shown_;
  std::map<uint64_t, Ready> early_;  // by offset: came before their turn
  uint64_t early_bytes_ = 0;
  absl::Status failure_;
};

}  // namespace appendfs
