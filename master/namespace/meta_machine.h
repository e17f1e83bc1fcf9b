#pragma once

#include "master/meta_log.h"

namespace appendfs {

// The rules of the namespace: applies every MetaOp to the tables, and answers
// a mutation that was applied before with its first result. Keeps no state of
// its own. Called on the log's thread only.
//
// A refused operation leaves its overlay to be thrown away, so nothing here
// undoes anything.
class MetaMachine final : public MetaStateMachine {
 public:
  absl::StatusOr<v1::MetaResult> Apply(const v1::MetaOp& op, KeyValueTransaction& tables) override;
};

}  // namespace appendfs
