#include "master/rpc/master_service.h"

#include <chrono>

#include "master/rpc/master_calls.h"
#include "master/rpc/reply.h"
#include "proto/master.grpc.pb.h"

namespace appendfs {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

// How long the caller waits; very long if it did not say.
Duration PatienceOf(const Context& context) {
  auto deadline = context.deadline();
  auto now = std::chrono::system_clock::now();
  if (deadline - now > std::chrono::hours(1)) return std::chrono::hours(1);
  return std::chrono::duration_cast<Duration>(deadline - now);
}

class MasterService final : public v1::Master::CallbackService {
 public:
  explicit MasterService(const MasterParts& parts) : calls_(parts) {}

  Reactor* OpenSession(Context* context, const v1::OpenSessionRequest* request,
                       v1::OpenSessionResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.OpenSession(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* KeepAlive(Context* context, const v1::KeepAliveRequest* request,
                     v1::KeepAliveResponse* response) override {
    return Answer(context, response, calls_.KeepAlive(*request));
  }
  Reactor* CloseSession(Context* context, const v1::CloseSessionRequest* request,
                        v1::CloseSessionResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.CloseSession(*request, AnswerLater(reactor, response));
    return reactor;
  }

  Reactor* Lookup(Context* context, const v1::LookupRequest* request,
                  v1::Entry* response) override {
    return Answer(context, response, calls_.Lookup(*request));
  }
  Reactor* GetAttributes(Context* context, const v1::GetAttributesRequest* request,
                         v1::Entry* response) override {
    return Answer(context, response, calls_.GetAttributes(*request));
  }
  Reactor* SetAttributes(Context* context, const v1::SetAttributesRequest* request,
                         v1::Entry* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.SetAttributes(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* MakeNode(Context* context, const v1::MakeNodeRequest* request,
                    v1::MakeNodeResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.MakeNode(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* ReadLink(Context* context, const v1::ReadLinkRequest* request,
                    v1::ReadLinkResponse* response) override {
    return Answer(context, response, calls_.ReadLink(*request));
  }
  Reactor* Link(Context* context, const v1::LinkRequest* request, v1::Entry* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.Link(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* Unlink(Context* context, const v1::UnlinkRequest* request,
                  v1::UnlinkResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.Unlink(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* Rename(Context* context, const v1::RenameRequest* request,
                  v1::RenameResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.Rename(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* ReadDirectory(Context* context, const v1::ReadDirectoryRequest* request,
                         v1::ReadDirectoryResponse* response) override {
    return Answer(context, response, calls_.ReadDirectory(*request));
  }
  Reactor* GetXattr(Context* context, const v1::GetXattrRequest* request,
                    v1::GetXattrResponse* response) override {
    return Answer(context, response, calls_.GetXattr(*request));
  }
  Reactor* ListXattrs(Context* context, const v1::ListXattrsRequest* request,
                      v1::ListXattrsResponse* response) override {
    return Answer(context, response, calls_.ListXattrs(*request));
  }
  Reactor* SetXattr(Context* context, const v1::SetXattrRequest* request,
                    v1::SetXattrResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.SetXattr(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* RemoveXattr(Context* context, const v1::RemoveXattrRequest* request,
                       v1::RemoveXattrResponse* response) override {
    Reactor* reactor = context->DefaultReactor();
    calls_.RemoveXattr(*request, AnswerLater(reactor, response));
    return reactor;
  }
  Reactor* StatFs(Context* context, const v1::StatFsRequest* request,
                  v1::StatFsResponse* response) override {
    return Answer(context, response, calls_.StatFs(*request));
  }

  Reactor* Open(Context* context, const v1::OpenRequest* request, v1::FilePlan* response) override {
    return Answer(context, response, calls_.Open(*request));
  }
  Reactor* Release(Context* context, const v1::ReleaseRequest* request,
                   v1::ReleaseResponse* response) override {
    return Answer(context, response, calls_.Release(*request));
  }
  Reactor* GetPlan(Context* context, const v1::GetPlanRequest* request,
                   v1::FilePlan* response) override {
    return Answer(context, response, calls_.GetPlan(*request));
  }
  Reactor* OpenTail(Context* context, const v1::OpenTailRequest* request,
                    v1::OpenTailResponse* response) override {
    auto* reactor = new PatientReactor<v1::OpenTailResponse>(response);
    calls_.OpenTail(*request, PatienceOf(*context), reactor->reply());
    return reactor;
  }
  Reactor* ReportReplica(Context* context, const v1::ReportReplicaRequest* request,
                         v1::ReportReplicaResponse* response) override {
    return Answer(context, response, calls_.ReportReplica(*request));
  }

 private:
  MasterCalls calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeMasterService(const MasterParts& parts) {
  return std::make_unique<MasterService>(parts);
}

}  // namespace appendfs
