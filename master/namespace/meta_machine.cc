#include "master/namespace/meta_machine.h"

#include <optional>
#include <utility>
#include <vector>

#include "common/planted.h"
#include "master/namespace/mutations.h"
#include "master/namespace/operation.h"
#include "master/namespace/reads.h"
#include "master/overlay.h"

namespace appendfs {
namespace {

absl::Status Dispatch(Operation& operation) {
  const v1::MetaOp& op = operation.op;
  switch (op.op_case()) {
    case v1::MetaOp::kMakeNode: return ApplyMakeNode(op.make_node(), operation);
    case v1::MetaOp::kSetAttributes: return ApplySetAttributes(op.set_attributes(), operation);
    case v1::MetaOp::kLink: return ApplyLink(op.link(), operation);
    case v1::MetaOp::kUnlink: return ApplyUnlink(op.unlink(), operation);
    case v1::MetaOp::kRename: return ApplyRename(op.rename(), operation);
    case v1::MetaOp::kSetXattr: return ApplySetXattr(op.set_xattr(), operation);
    case v1::MetaOp::kRemoveXattr: return ApplyRemoveXattr(op.remove_xattr(), operation);
    case v1::MetaOp::kOpenSession: return ApplyOpenSession(op.open_session(), operation);
    case v1::MetaOp::kEndSessions: return ApplyEndSessions(op.end_sessions(), operation);
    case v1::MetaOp::kPurgeOrphans: return ApplyPurgeOrphans(op.purge_orphans(), operation);
    case v1::MetaOp::kStartMaster: return ApplyStartMaster(operation);
    case v1::MetaOp::kAddServer: return ApplyAddServer(op.add_server(), operation);
    case v1::MetaOp::kReserveHandles: return ApplyReserveHandles(op.reserve_handles(), operation);
    case v1::MetaOp::kAllocateChunk: return ApplyAllocateChunk(op.allocate_chunk(), operation);
    case v1::MetaOp::kBeginRecovery: return ApplyBeginRecovery(op.begin_recovery(), operation);
    case v1::MetaOp::kSealChunk: return ApplySealChunk(op.seal_chunk(), operation);
    case v1::MetaOp::kReopenChunk: return ApplyReopenChunk(op.reopen_chunk(), operation);
    case v1::MetaOp::kParkChunk: return ApplyParkChunk(op.park_chunk(), operation);
    case v1::MetaOp::kForgetGarbage: return ApplyForgetGarbage(op.forget_garbage(), operation);
    case v1::MetaOp::OP_NOT_SET: break;
  }
  return MakeError(v1::INVALID, "an operation this master does not know");
}

// Who makes or removes a name asks for its directory next.
std::vector<InodeId> ChangedBesides(const v1::MetaOp& op, const v1::MetaResult& result) {
  switch (op.op_case()) {
    case v1::MetaOp::kMakeNode: return {InodeId(op.make_node().parent())};
    case v1::MetaOp::kUnlink: return {InodeId(op.unlink().parent())};
    case v1::MetaOp::kRename: {
      const InodeId from(op.rename().parent()), to(op.rename().new_parent());
      const InodeId renamed(result.rename().inode());
      return from == to ? std::vector{from, renamed} : std::vector{from, to, renamed};
    }
    default: return {};
  }
}

absl::Status ApplyOnce(const v1::MetaOp& op, Overlay& tables, v1::MetaResult& result) {
  const v1::MutationId* mutation = MutationOf(op);
  if (mutation) {
    APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::MetaResult> before, FindResult(tables, *mutation));
    if (before && !PLANTED(kRepeatMutation)) {
      result = *std::move(before);
      return absl::OkStatus();
    }
  }
  Operation operation{op, tables, result};
  APPENDFS_RETURN_IF_ERROR(Dispatch(operation));
  if (!mutation || tables.empty()) return absl::OkStatus();
  APPENDFS_RETURN_IF_ERROR(KeepResult(tables, *mutation, result));
  for (InodeId inode : ChangedBesides(op, result)) {
    APPENDFS_ASSIGN_OR_RETURN(*result.add_changed(), GetEntry(tables, inode));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::MetaResult> MetaMachine::Apply(const v1::MetaOp& op,
                                                  KeyValueTransaction& tables) {
  Overlay changes(&tables);
  v1::MetaResult result;
  absl::Status status = ApplyOnce(op, changes, result);
  if (status.ok()) {
    changes.MoveInto(tables);
    return result;
  }
  if (HasReason(status, v1::INPUT_OUTPUT)) return status;
  v1::MetaResult refusal;
  *refusal.mutable_error() = ToProto(status);
  return refusal;
}

}  // namespace appendfs
