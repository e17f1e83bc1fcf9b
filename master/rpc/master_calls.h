#pragma once

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/rpc/parts.h"
#include "proto/master.pb.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

template <class Response>
using Reply = absl::AnyInvocable<void(absl::StatusOr<Response>) &&>;

// What the calls of the service `Master` do, without gRPC. Every call but
// OpenSession needs a live session (SESSION_EXPIRED). Thread-safe. Calls that
// return their answer only read; the others answer once, from a thread of the
// log or of the chunk manager, or before they return.
class MasterCalls {
 public:
  explicit MasterCalls(const MasterParts& parts) : parts_(parts) {}

  void OpenSession(const v1::OpenSessionRequest& request, Reply<v1::OpenSessionResponse> reply);
  absl::StatusOr<v1::KeepAliveResponse> KeepAlive(const v1::KeepAliveRequest& request);
  void CloseSession(const v1::CloseSessionRequest& request, Reply<v1::CloseSessionResponse> reply);

  absl::StatusOr<v1::Entry> Lookup(const v1::LookupRequest& request);
  absl::StatusOr<v1::Entry> GetAttributes(const v1::GetAttributesRequest& request);
  absl::StatusOr<v1::ReadLinkResponse> ReadLink(const v1::ReadLinkRequest& request);
  absl::StatusOr<v1::ReadDirectoryResponse> ReadDirectory(const v1::ReadDirectoryRequest& request);
  absl::StatusOr<v1::GetXattrResponse> GetXattr(const v1::GetXattrRequest& request);
  absl::StatusOr<v1::ListXattrsResponse> ListXattrs(const v1::ListXattrsRequest& request);
  absl::StatusOr<v1::StatFsResponse> StatFs(const v1::StatFsRequest& request);

  void SetAttributes(const v1::SetAttributesRequest& request, Reply<v1::Entry> reply);
  void MakeNode(const v1::MakeNodeRequest& request, Reply<v1::MakeNodeResponse> reply);
  void Link(const v1::LinkRequest& request, Reply<v1::Entry> reply);
  void Unlink(const v1::UnlinkRequest& request, Reply<v1::UnlinkResponse> reply);
  void Rename(const v1::RenameRequest& request, Reply<v1::RenameResponse> reply);
  void SetXattr(const v1::SetXattrRequest& request, Reply<v1::SetXattrResponse> reply);
  void RemoveXattr(const v1::RemoveXattrRequest& request, Reply<v1::RemoveXattrResponse> reply);

  absl::StatusOr<v1::FilePlan> Open(const v1::OpenRequest& request);
  absl::StatusOr<v1::ReleaseResponse> Release(const v1::ReleaseRequest& request);
  absl::StatusOr<v1::FilePlan> GetPlan(const v1::GetPlanRequest& request);
  // `patience`: how long the caller will wait for the answer.
  void OpenTail(const v1::OpenTailRequest& request, Duration patience,
                Reply<v1::OpenTailResponse> reply);
  absl::StatusOr<v1::ReportReplicaResponse> ReportReplica(const v1::ReportReplicaRequest& request);

 private:
  absl::Status CheckSession(uint64_t client) const;
  void FillTail(v1::Entry& entry) const;
  template <class Response>
  Response TakeNames(v1::MetaResult& result, Response& response) const;
  absl::StatusOr<v1::FilePlan> ReadPlan(InodeId inode, uint32_t from_index) const;
  // Sends a mutation through the log; `take` makes the answer of its result.
  template <class Response, class Take>
  void Mutate(v1::MetaOp op, const v1::MutationId& mutation, Take take, Reply<Response> reply);

  const MasterParts parts_;
};

}  // namespace appendfs
