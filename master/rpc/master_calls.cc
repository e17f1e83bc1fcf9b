#include "master/rpc/master_calls.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/protocol.h"
#include "common/str_cat.h"
#include "master/namespace/reads.h"

namespace appendfs {
namespace {

constexpr Duration kLongestTailWait = std::chrono::seconds(30);
// Left for the answer's way back, so that it is ours and not gRPC's.
constexpr Duration kAnswerTime = std::chrono::milliseconds(50);
constexpr size_t kMaxDescriptionBytes = 1024;

std::vector<InodeId> ToInodes(const google::protobuf::RepeatedField<uint64_t>& numbers) {
  std::vector<InodeId> inodes;
  inodes.reserve(numbers.size());
  for (uint64_t number : numbers) inodes.emplace_back(number);
  return inodes;
}

std::vector<ChunkHandle> GarbageOf(const v1::MetaResult& result) {
  std::vector<ChunkHandle> handles;
  for (uint64_t handle : result.garbage()) handles.emplace_back(handle);
  return handles;
}

}  // namespace

absl::Status MasterCalls::CheckSession(uint64_t client) const {
  return parts_.sessions.Check(ClientId(client));
}

void MasterCalls::FillTail(v1::Entry& entry) const {
  if (entry.has_tail()) parts_.chunks.FillLocations(*entry.mutable_tail());
}

// --- sessions ------------------------------------------------------------------

void MasterCalls::OpenSession(const v1::OpenSessionRequest& request,
                              Reply<v1::OpenSessionResponse> reply) {
  absl::Status fits = CheckProtocol(request.version(), "the client");
  if (!fits.ok()) return std::move(reply)(fits);
  if (!request.cluster_uuid().empty() && request.cluster_uuid() != parts_.cluster_uuid)
    return std::move(reply)(
        MakeError(v1::WRONG_CLUSTER,
                  StrCat("this is the master of cluster ", parts_.cluster_uuid, ", not of ",
                         request.cluster_uuid(), ": check the master's address")));
  if (request.description().size() > kMaxDescriptionBytes)
    return std::move(reply)(MakeError(v1::INVALID, "the client's description is too long"));
  parts_.sessions.Open(request.description(), [this, reply = std::move(reply)](
                                                  absl::StatusOr<ClientId> client) mutable {
    if (!client.ok()) return std::move(reply)(client.status());
    v1::OpenSessionResponse response;
    *response.mutable_version() = OurProtocol();
    response.set_client_id(client->value());
    response.set_cluster_uuid(parts_.cluster_uuid);
    response.set_incarnation(parts_.incarnation);
    response.set_session_timeout_ms(static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(parts_.sessions.timeout()).count()));
    response.set_chunk_bytes(parts_.chunk_bytes);
    std::move(reply)(std::move(response));
  });
}

absl::StatusOr<v1::KeepAliveResponse> MasterCalls::KeepAlive(const v1::KeepAliveRequest& request) {
  ClientId client(request.client_id());
  APPENDFS_RETURN_IF_ERROR(request.reclaim()
                               ? parts_.sessions.Reclaim(client, ToInodes(request.open_inodes()))
                               : parts_.sessions.KeepAlive(client));
  v1::KeepAliveResponse response;
  response.set_incarnation(parts_.incarnation);
  return response;
}

void MasterCalls::CloseSession(const v1::CloseSessionRequest& request,
                               Reply<v1::CloseSessionResponse> reply) {
  parts_.sessions.Close(ClientId(request.client_id()),
                        [reply = std::move(reply)](absl::Status status) mutable {
                          if (!status.ok()) return std::move(reply)(status);
                          std::move(reply)(v1::CloseSessionResponse());
                        });
}

// --- reading -------------------------------------------------------------------

absl::StatusOr<v1::Entry> MasterCalls::Lookup(const v1::LookupRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  APPENDFS_ASSIGN_OR_RETURN(
      v1::Entry entry,
      appendfs::Lookup(*parts_.log.Snapshot(), InodeId(request.parent()), request.name()));
  FillTail(entry);
  return entry;
}

absl::StatusOr<v1::Entry> MasterCalls::GetAttributes(const v1::GetAttributesRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  APPENDFS_ASSIGN_OR_RETURN(v1::Entry entry,
                            GetEntry(*parts_.log.Snapshot(), InodeId(request.inode())));
  FillTail(entry);
  return entry;
}

absl::StatusOr<v1::ReadLinkResponse> MasterCalls::ReadLink(const v1::ReadLinkRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  v1::ReadLinkResponse response;
  APPENDFS_ASSIGN_OR_RETURN(*response.mutable_target(),
                            ReadLinkTarget(*parts_.log.Snapshot(), InodeId(request.inode())));
  return response;
}

absl::StatusOr<v1::ReadDirectoryResponse> MasterCalls::ReadDirectory(
    const v1::ReadDirectoryRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  APPENDFS_ASSIGN_OR_RETURN(v1::ReadDirectoryResponse response,
                            ReadDirectoryPage(*parts_.log.Snapshot(), request));
  for (v1::DirectoryEntry& entry : *response.mutable_entries())
    if (entry.has_entry()) FillTail(*entry.mutable_entry());
  return response;
}

absl::StatusOr<v1::GetXattrResponse> MasterCalls::GetXattr(const v1::GetXattrRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  v1::GetXattrResponse response;
  APPENDFS_ASSIGN_OR_RETURN(
      *response.mutable_value(),
      appendfs::GetXattr(*parts_.log.Snapshot(), InodeId(request.inode()), request.name()));
  return response;
}

absl::StatusOr<v1::ListXattrsResponse> MasterCalls::ListXattrs(
    const v1::ListXattrsRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  APPENDFS_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            appendfs::ListXattrs(*parts_.log.Snapshot(), InodeId(request.inode())));
  v1::ListXattrsResponse response;
  response.mutable_names()->Assign(names.begin(), names.end());
  return response;
}

absl::StatusOr<v1::StatFsResponse> MasterCalls::StatFs(const v1::StatFsRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  v1::StatFsResponse response;
  APPENDFS_ASSIGN_OR_RETURN(uint64_t files, CountInodes(*parts_.log.Snapshot()));
  ChunkManager::Space space = parts_.chunks.space();
  response.set_files(files);
  response.set_total_bytes(space.total_bytes / kReplicationFactor);
  response.set_available_bytes(space.available_bytes / kReplicationFactor);
  return response;
}

// --- changing ------------------------------------------------------------------

template <class Response, class Take>
void MasterCalls::Mutate(v1::MetaOp op, const v1::MutationId& mutation, Take take,
                         Reply<Response> reply) {
  if (absl::Status admitted = parts_.sessions.Admit(mutation); !admitted.ok())
    return std::move(reply)(admitted);
  op.set_now_ns(parts_.clock.WallNanos());
  parts_.log.Propose(std::move(op), [this, take, reply = std::move(reply)](
                                        absl::StatusOr<v1::MetaResult> result) mutable {
    if (!result.ok()) return std::move(reply)(result.status());
    if (result->has_error()) return std::move(reply)(FromProto(result->error()));
    if (!result->garbage().empty()) parts_.chunks.AddGarbage(GarbageOf(*result));
    std::move(reply)(take(*result));
  });
}

// The answer to a change of names, with what it changed.
template <class Response>
Response MasterCalls::TakeNames(v1::MetaResult& result, Response& response) const {
  if (result.changed().empty()) return std::move(response);
  response.mutable_after()->set_index(result.index());
  response.mutable_after()->mutable_entries()->Swap(result.mutable_changed());
  for (v1::Entry& entry : *response.mutable_after()->mutable_entries()) FillTail(entry);
  return std::move(response);
}

void MasterCalls::SetAttributes(const v1::SetAttributesRequest& request, Reply<v1::Entry> reply) {
  v1::MetaOp op;
  *op.mutable_set_attributes() = request;
  auto take = [this](v1::MetaResult& result) {
    FillTail(*result.mutable_entry());
    return std::move(*result.mutable_entry());
  };
  Mutate<v1::Entry>(std::move(op), request.mutation(), take, std::move(reply));
}

void MasterCalls::MakeNode(const v1::MakeNodeRequest& request, Reply<v1::MakeNodeResponse> reply) {
  v1::MetaOp op;
  *op.mutable_make_node() = request;
  auto take = [this](v1::MetaResult& result) {
    FillTail(*result.mutable_make_node()->mutable_entry());
    return TakeNames(result, *result.mutable_make_node());
  };
  Mutate<v1::MakeNodeResponse>(std::move(op), request.mutation(), take, std::move(reply));
}

void MasterCalls::Link(const v1::LinkRequest& request, Reply<v1::Entry> reply) {
  v1::MetaOp op;
  *op.mutable_link() = request;
  auto take = [this](v1::MetaResult& result) {
    FillTail(*result.mutable_entry());
    return std::move(*result.mutable_entry());
  };
  Mutate<v1::Entry>(std::move(op), request.mutation(), take, std::move(reply));
}

void MasterCalls::Unlink(const v1::UnlinkRequest& request, Reply<v1::UnlinkResponse> reply) {
  v1::MetaOp op;
  *op.mutable_unlink() = request;
  auto take = [this](v1::MetaResult& result) {
    return TakeNames(result, *result.mutable_unlink());
  };
  Mutate<v1::UnlinkResponse>(std::move(op), request.mutation(), take, std::move(reply));
}

void MasterCalls::Rename(const v1::RenameRequest& request, Reply<v1::RenameResponse> reply) {
  v1::MetaOp op;
  *op.mutable_rename() = request;
  auto take = [this](v1::MetaResult& result) {
    return TakeNames(result, *result.mutable_rename());
  };
  Mutate<v1::RenameResponse>(std::move(op), request.mutation(), take, std::move(reply));
}

void MasterCalls::SetXattr(const v1::SetXattrRequest& request, Reply<v1::SetXattrResponse> reply) {
  v1::MetaOp op;
  *op.mutable_set_xattr() = request;
  auto take = [](v1::MetaResult&) { return v1::SetXattrResponse(); };
  Mutate<v1::SetXattrResponse>(std::move(op), request.mutation(), take, std::move(reply));
}

void MasterCalls::RemoveXattr(const v1::RemoveXattrRequest& request,
                              Reply<v1::RemoveXattrResponse> reply) {
  v1::MetaOp op;
  *op.mutable_remove_xattr() = request;
  auto take = [](v1::MetaResult&) { return v1::RemoveXattrResponse(); };
  Mutate<v1::RemoveXattrResponse>(std::move(op), request.mutation(), take, std::move(reply));
}

// --- files ---------------------------------------------------------------------

absl::StatusOr<v1::FilePlan> MasterCalls::ReadPlan(InodeId inode, uint32_t from_index) const {
  APPENDFS_ASSIGN_OR_RETURN(v1::FilePlan plan,
                            appendfs::GetPlan(*parts_.log.Snapshot(), inode, from_index));
  for (v1::Chunk& chunk : *plan.mutable_chunks()) parts_.chunks.FillLocations(chunk);
  return plan;
}

absl::StatusOr<v1::FilePlan> MasterCalls::Open(const v1::OpenRequest& request) {
  ClientId client(request.client_id());
  InodeId inode(request.inode());
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  // First registered, then looked up: once it has been seen to exist, it stays.
  APPENDFS_RETURN_IF_ERROR(parts_.open_inodes.Open(client, inode));
  if (absl::Status live = CheckSession(request.client_id()); !live.ok()) {
    parts_.open_inodes.CloseAll(client);
    return live;
  }
  absl::StatusOr<v1::FilePlan> plan = ReadPlan(inode, 0);
  if (!plan.ok() && !HasReason(plan.status(), v1::INPUT_OUTPUT))
    parts_.open_inodes.Close(client, inode);
  return plan;
}

absl::StatusOr<v1::ReleaseResponse> MasterCalls::Release(const v1::ReleaseRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  for (uint64_t inode : request.inodes())
    parts_.open_inodes.Close(ClientId(request.client_id()), InodeId(inode));
  parts_.sessions.PurgeOrphans();
  return v1::ReleaseResponse();
}

absl::StatusOr<v1::FilePlan> MasterCalls::GetPlan(const v1::GetPlanRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  return ReadPlan(InodeId(request.inode()), request.from_index());
}

void MasterCalls::OpenTail(const v1::OpenTailRequest& request, Duration patience,
                           Reply<v1::OpenTailResponse> reply) {
  if (absl::Status live = CheckSession(request.client_id()); !live.ok())
    return std::move(reply)(live);
  Duration wait = std::min(patience - kAnswerTime, kLongestTailWait);
  Duration deadline = parts_.clock.Monotonic() + std::max(wait, Duration(0));
  parts_.chunks.OpenTail(request, deadline,
                         [this, reply = std::move(reply)](absl::StatusOr<v1::Chunk> chunk) mutable {
                           if (!chunk.ok()) return std::move(reply)(chunk.status());
                           v1::OpenTailResponse response;
                           *response.mutable_tail() = *std::move(chunk);
                           parts_.chunks.FillLocations(*response.mutable_tail());
                           std::move(reply)(std::move(response));
                         });
}

absl::StatusOr<v1::ReportReplicaResponse> MasterCalls::ReportReplica(
    const v1::ReportReplicaRequest& request) {
  APPENDFS_RETURN_IF_ERROR(CheckSession(request.client_id()));
  parts_.chunks.ReportReplica(request);
  return v1::ReportReplicaResponse();
}

}  // namespace appendfs
