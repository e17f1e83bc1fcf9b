#pragma once

#include "common/status.h"
#include "master/kv.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// One operation being applied: what the handlers of this directory work on. A
// handler returns OK and has filled `result` and changed `tables`, or returns
// why it refuses, with a reason that is not INPUT_OUTPUT, and what it did to
// the tables is thrown away; INPUT_OUTPUT means that the tables cannot be read.
struct Operation {
  const v1::MetaOp& op;
  KeyValueTransaction& tables;
  v1::MetaResult& result;

  uint64_t now_ns() const { return op.now_ns(); }
};

// Nodes and names (nodes.cc, rename.cc, attributes.cc, xattrs.cc).
absl::Status ApplyMakeNode(const v1::MakeNodeRequest& request, Operation& operation);
absl::Status ApplyLink(const v1::LinkRequest& request, Operation& operation);
absl::Status ApplyUnlink(const v1::UnlinkRequest& request, Operation& operation);
absl::Status ApplyRename(const v1::RenameRequest& request, Operation& operation);
absl::Status ApplySetAttributes(const v1::SetAttributesRequest& request, Operation& operation);
absl::Status ApplySetXattr(const v1::SetXattrRequest& request, Operation& operation);
absl::Status ApplyRemoveXattr(const v1::RemoveXattrRequest& request, Operation& operation);
absl::Status ApplyPurgeOrphans(const v1::PurgeOrphansOp& request, Operation& operation);

// Clients, servers and counters (registry.cc).
absl::Status ApplyOpenSession(const v1::OpenSessionOp& request, Operation& operation);
absl::Status ApplyEndSessions(const v1::EndSessionsOp& request, Operation& operation);
absl::Status ApplyStartMaster(Operation& operation);
absl::Status ApplyAddServer(const v1::AddServerOp& request, Operation& operation);
absl::Status ApplyReserveHandles(const v1::ReserveHandlesOp& request, Operation& operation);

// Chunks (chunks.cc).
absl::Status ApplyAllocateChunk(const v1::AllocateChunkOp& request, Operation& operation);
absl::Status ApplyBeginRecovery(const v1::BeginRecoveryOp& request, Operation& operation);
absl::Status ApplySealChunk(const v1::SealChunkOp& request, Operation& operation);
absl::Status ApplyReopenChunk(const v1::ReopenChunkOp& request, Operation& operation);
absl::Status ApplyParkChunk(const v1::ParkChunkOp& request, Operation& operation);
absl::Status ApplyForgetGarbage(const v1::ForgetGarbageOp& request, Operation& operation);

}  // namespace appendfs
