#include "chunkserver/store/apply_plan.h"

#include <string_view>

namespace appendfs {

absl::Status ApplyPlan::Run(File& file) const {
  if (truncate) APPENDFS_RETURN_IF_ERROR(file.Truncate(from));
  if (pieces.empty()) return absl::OkStatus();
  std::vector<std::string_view> parts;
  parts.reserve(pieces.size());
  for (const UnappliedTail::Piece& piece : pieces) parts.push_back(piece.bytes.view());
  return file.WriteAside(from, parts);
}

ApplyPlan PlanApply(const StoredReplica& replica, uint64_t to) {
  ApplyPlan plan{.handle = replica.identity().handle,
                 .from = replica.applied(),
                 .to = to,
                 .cuts = replica.cuts(),
                 .truncate = replica.file_too_long()};
  if (to > plan.from) plan.pieces = replica.tail().Pieces(plan.from, to);
  return plan;
}

void FinishApply(const ApplyPlan& plan, StoredReplica& replica) {
  if (replica.cuts() != plan.cuts || replica.damaged()) return;
  replica.SetApplied(plan.to);
  if (plan.truncate) replica.SetFileLength(plan.to);
}

}  // namespace appendfs
