#pragma once

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "common/status.h"
#include "master/kv.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// The state machine behind the log: applies one operation to the tables.
// Deterministic: the outcome follows from the tables and the operation alone.
// A refusal is a MetaResult with an error and no change; a returned status
// that is not OK means the tables could not be read, and stops the log.
class MetaStateMachine {
 public:
  virtual ~MetaStateMachine() = default;
  virtual absl::StatusOr<v1::MetaResult> Apply(const v1::MetaOp& op,
                                               KeyValueTransaction& tables) = 0;
};

// Sees every operation on the log's thread, at the point where its place in
// the order is decided: what is true of the open files just then is written
// into the operation, and nothing that comes later can change it.
class MetaLogGate {
 public:
  virtual ~MetaLogGate() = default;
  // Before `op` is applied to `tables`: fills in what only this moment can
  // tell (MetaOp.open_inodes). An error means the tables could not be read.
  virtual absl::Status Prepare(v1::MetaOp& op, const KeyValueReader& tables) = 0;
  // After it was applied or refused; not durable yet.
  virtual void Applied(const v1::MetaOp& op, const v1::MetaResult& result) = 0;
  // Everything applied so far is durable and shows in snapshots.
  virtual void Committed() = 0;
};

// The only way to change the master's durable state. Operations are applied
// one after the other, in index order, and grouped: whatever was proposed
// while a sync ran shares the next one. A replicated log can stand here.
class MetaLog {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<v1::MetaResult>) &&>;

  virtual ~MetaLog() = default;
  // Queues an operation from any thread. `done` runs on the log's thread, in
  // index order, after the operation and its result are durable; it must not
  // block. A status that is not OK: the log has failed and the master must
  // stop.
  virtual void Propose(v1::MetaOp op, Done done) = 0;
  // The state after every operation that was answered; newer ones may show.
  // From any thread.
  virtual std::unique_ptr<KeyValueReader> Snapshot() const = 0;
  // Answers what is queued and returns when no `done` runs any more. What is
  // proposed later is dropped unanswered. Called before those go away whom
  // the callbacks refer to; snapshots go on.
  virtual void Stop() {}
};

}  // namespace appendfs
