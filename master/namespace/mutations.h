#pragma once

#include <optional>

#include "common/ids.h"
#include "common/status.h"
#include "master/kv.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// The memory of mutations: what makes one that is sent again get its first
// answer. Refusals and answers to mutations that changed nothing are not kept:
// applying those again is as good as applying them for the first time.

// What names the operation; null if it is not a client's mutation.
const v1::MutationId* MutationOf(const v1::MetaOp& op);

// The answer the mutation got before, if it was applied before. Errors:
// SESSION_EXPIRED, INVALID, SEQUENCE_FORGOTTEN (answered, and the client said
// it knows).
absl::StatusOr<std::optional<v1::MetaResult>> FindResult(const KeyValueReader& tables,
                                                         const v1::MutationId& mutation);

// Keeps the answer, and forgets those the client confirms to have.
absl::Status KeepResult(KeyValueTransaction& tables, const v1::MutationId& mutation,
                        const v1::MetaResult& result);

// Removes a session and all its answers.
absl::Status ForgetClient(KeyValueTransaction& tables, ClientId client);

}  // namespace appendfs
