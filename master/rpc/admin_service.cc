#include "master/rpc/admin_service.h"

#include <utility>

#include "common/executor.h"
#include "common/protocol.h"
#include "common/str_cat.h"
#include "master/namespace/reads.h"
#include "master/operations/cluster_status.h"
#include "master/rpc/reply.h"
#include "proto/master.grpc.pb.h"

namespace appendfs {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

class AdminService final : public v1::Admin::CallbackService {
 public:
  explicit AdminService(const MasterParts& parts)
      : parts_(parts), inspector_(MakeThreadExecutor("admin")) {}

  Reactor* ListServers(Context* context, const v1::ListServersRequest* request,
                       v1::ListServersResponse* response) override {
    return Answer(context, response, DoListServers(*request));
  }
  Reactor* GetStatus(Context* context, const v1::GetStatusRequest* request,
                     v1::GetStatusResponse* response) override {
    return Answer(context, response, DoGetStatus(*request));
  }
  Reactor* GetFile(Context* context, const v1::GetFileRequest* request,
                   v1::GetFileResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    inspector_->Post([this, request, reply = AnswerLater(reactor, response)]() mutable {
      std::move(reply)(DoGetFile(*request));
    });
    return reactor;
  }
  Reactor* ForceSeal(Context* context, const v1::ForceSealRequest* request,
                     v1::ForceSealResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    auto reply = AnswerLater(reactor, response);
    absl::StatusOr<v1::ForceSealRequest> found = FindChunkToSeal(*request);
    if (found.ok())
      parts_.chunks.ForceSeal(*found, context->peer(), std::move(reply));
    else
      std::move(reply)(found.status());
    return reactor;
  }

 private:
  absl::StatusOr<v1::ListServersResponse> DoListServers(const v1::ListServersRequest& request) {
    APPENDFS_RETURN_IF_ERROR(CheckProtocol(request.version(), "the client"));
    return parts_.chunks.ListServers();
  }

  absl::StatusOr<v1::GetStatusResponse> DoGetStatus(const v1::GetStatusRequest& request) {
    APPENDFS_RETURN_IF_ERROR(CheckProtocol(request.version(), "the client"));
    return ClusterStatus(parts_);
  }

  // With the handle of the file's last chunk, if it was named by its path.
  absl::StatusOr<v1::ForceSealRequest> FindChunkToSeal(v1::ForceSealRequest request) {
    APPENDFS_RETURN_IF_ERROR(CheckProtocol(request.version(), "the client"));
    if (request.path().empty()) return request;
    std::unique_ptr<KeyValueReader> tables = parts_.log.Snapshot();
    APPENDFS_ASSIGN_OR_RETURN(InodeId inode, ResolvePath(*tables, request.path()));
    APPENDFS_ASSIGN_OR_RETURN(v1::Entry entry, GetEntry(*tables, inode));
    if (!entry.has_tail())
      return MakeError(v1::INVALID,
                       StrCat("'", request.path(), "' has no chunk that is not sealed"));
    request.set_handle(entry.tail().handle());
    return request;
  }

  absl::StatusOr<v1::GetFileResponse> DoGetFile(const v1::GetFileRequest& request) {
    APPENDFS_RETURN_IF_ERROR(CheckProtocol(request.version(), "the client"));
    std::unique_ptr<KeyValueReader> tables = parts_.log.Snapshot();
    APPENDFS_ASSIGN_OR_RETURN(InodeId inode, ResolvePath(*tables, request.path()));
    APPENDFS_ASSIGN_OR_RETURN(v1::Entry entry, GetEntry(*tables, inode));
    v1::GetFileResponse response;
    *response.mutable_attributes() = entry.attributes();
    if (entry.attributes().type() != v1::REGULAR) return response;
    APPENDFS_ASSIGN_OR_RETURN(v1::FilePlan plan, GetPlan(*tables, inode, 0));
    tables.reset();  // Asking the servers may take a while.
    const std::vector<v1::Chunk> chunks(plan.chunks().begin(), plan.chunks().end());
    for (v1::ChunkInfo& info : parts_.chunks.InspectChunks(chunks))
      *response.add_chunks() = std::move(info);
    return response;
  }

  const MasterParts parts_;
  const std::unique_ptr<Executor> inspector_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(const MasterParts& parts) {
  return std::make_unique<AdminService>(parts);
}

}  // namespace appendfs
