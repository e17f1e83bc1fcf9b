#include "master/operations/cluster_status.h"

#include "common/str_cat.h"
#include "master/namespace/reads.h"

namespace appendfs {

absl::StatusOr<v1::GetStatusResponse> ClusterStatus(const MasterParts& parts) {
  v1::GetStatusResponse status;
  status.set_cluster_uuid(parts.cluster_uuid);
  status.set_incarnation(parts.incarnation);
  status.set_sessions(parts.sessions.count());
  APPENDFS_ASSIGN_OR_RETURN(uint64_t inodes, CountInodes(*parts.log.Snapshot()));
  status.set_inodes(inodes);
  parts.chunks.FillStatus(status);
  return status;
}

absl::Status ClusterIsReady(const MasterParts& parts) {
  v1::GetStatusResponse status;
  parts.chunks.FillStatus(status);
  if (status.health() != "critical" && !status.safe_mode()) return absl::OkStatus();
  std::string why;
  for (const std::string& reason : status.reasons()) why += StrCat(why.empty() ? "" : "; ", reason);
  return MakeError(v1::NOT_READY, why);
}

}  // namespace appendfs
