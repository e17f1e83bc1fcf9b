#include "client/master_client.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/call_count.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/master.grpc.pb.h"

namespace appendfs {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(10);
constexpr Duration kLongestBackoff = std::chrono::milliseconds(250);
// One attempt; a master that is silent for longer is asked again.
constexpr Duration kAttempt = std::chrono::seconds(5);

// Is the error the transport's or a starting master's, not the call's?
bool IsAway(const absl::Status& status) {
  return IsTransient(status) && !HasReason(status, v1::INTERRUPTED);
}

class GrpcMasterClient final : public MasterClient {
 public:
  GrpcMasterClient(std::string addresses, const Clock& clock) : clock_(clock) {
    for (absl::string_view part : absl::StrSplit(ToAbsl(addresses), ',', absl::SkipWhitespace())) {
      auto peer = std::make_unique<Peer>();
      peer->address = std::string(part);
      peer->stub = v1::Master::NewStub(MakeChannel(peer->address));
      peers_.push_back(std::move(peer));
    }
  }
  ~GrpcMasterClient() override { calls_.AwaitNone(); }

  // clang-format off
  Result<v1::OpenSessionResponse> Call(const v1::OpenSessionRequest& r, Duration d) override { return Repeat(&Stub::OpenSession, r, d); }
  Result<v1::KeepAliveResponse> Call(const v1::KeepAliveRequest& r, Duration d) override { return Repeat(&Stub::KeepAlive, r, d); }
  Result<v1::CloseSessionResponse> Call(const v1::CloseSessionRequest& r, Duration d) override { return Repeat(&Stub::CloseSession, r, d); }
  Result<v1::Entry> Call(const v1::LookupRequest& r, Duration d) override { return Repeat(&Stub::Lookup, r, d); }
  Result<v1::Entry> Call(const v1::GetAttributesRequest& r, Duration d) override { return Repeat(&Stub::GetAttributes, r, d); }
  Result<v1::Entry> Call(const v1::SetAttributesRequest& r, Duration d) override { return Repeat(&Stub::SetAttributes, r, d); }
  Result<v1::MakeNodeResponse> Call(const v1::MakeNodeRequest& r, Duration d) override { return Repeat(&Stub::MakeNode, r, d); }
  Result<v1::ReadLinkResponse> Call(const v1::ReadLinkRequest& r, Duration d) override { return Repeat(&Stub::ReadLink, r, d); }
  Result<v1::Entry> Call(const v1::LinkRequest& r, Duration d) override { return Repeat(&Stub::Link, r, d); }
  Result<v1::UnlinkResponse> Call(const v1::UnlinkRequest& r, Duration d) override { return Repeat(&Stub::Unlink, r, d); }
  Result<v1::RenameResponse> Call(const v1::RenameRequest& r, Duration d) override { return Repeat(&Stub::Rename, r, d); }
  Result<v1::ReadDirectoryResponse> Call(const v1::ReadDirectoryRequest& r, Duration d) override { return Repeat(&Stub::ReadDirectory, r, d); }
  Result<v1::StatFsResponse> Call(const v1::StatFsRequest& r, Duration d) override { return Repeat(&Stub::StatFs, r, d); }
  Result<v1::GetXattrResponse> Call(const v1::GetXattrRequest& r, Duration d) override { return Repeat(&Stub::GetXattr, r, d); }
  Result<v1::ListXattrsResponse> Call(const v1::ListXattrsRequest& r, Duration d) override { return Repeat(&Stub::ListXattrs, r, d); }
  Result<v1::SetXattrResponse> Call(const v1::SetXattrRequest& r, Duration d) override { return Repeat(&Stub::SetXattr, r, d); }
  Result<v1::RemoveXattrResponse> Call(const v1::RemoveXattrRequest& r, Duration d) override { return Repeat(&Stub::RemoveXattr, r, d); }
  Result<v1::FilePlan> Call(const v1::OpenRequest& r, Duration d) override { return Repeat(&Stub::Open, r, d); }
  Result<v1::ReleaseResponse> Call(const v1::ReleaseRequest& r, Duration d) override { return Repeat(&Stub::Release, r, d); }
  Result<v1::FilePlan> Call(const v1::GetPlanRequest& r, Duration d) override { return Repeat(&Stub::GetPlan, r, d); }
  // clang-format on

  void OpenTail(const v1::OpenTailRequest& request, Duration deadline,
                absl::AnyInvocable<void(Result<v1::Chunk>) &&> done) override {
    struct State {
      grpc::ClientContext context;
      v1::OpenTailRequest request;
      v1::OpenTailResponse response;
      absl::AnyInvocable<void(Result<v1::Chunk>) &&> done;
    };
    auto* state = new State;
    state->request = request;
    state->done = std::move(done);
    SetDeadline(state->context, std::max<Duration>(deadline - clock_.Monotonic(), kFirstBackoff));
    Peer* peer = &Current();
    calls_.Add();
    peer->stub->async()->OpenTail(
        &state->context, &state->request, &state->response,
        [this, peer, state](grpc::Status status) {
          if (status.ok()) {
            std::move(state->done)(std::move(*state->response.mutable_tail()));
          } else {
            absl::Status error = FromGrpc(status, Name(*peer));
            if (HasReason(error, v1::UNREACHABLE)) Next(*peer);
            std::move(state->done)(error);
          }
          delete state;
          calls_.Remove();
        });
  }

  void ReportReplica(const v1::ReportReplicaRequest& request) override {
    struct State {
      grpc::ClientContext context;
      v1::ReportReplicaRequest request;
      v1::ReportReplicaResponse response;
    };
    auto* state = new State;
    state->request = request;
    SetDeadline(state->context, kAttempt);
    calls_.Add();
    Current().stub->async()->ReportReplica(&state->context, &state->request, &state->response,
                                           [this, state](grpc::Status) {
                                             delete state;
                                             calls_.Remove();
                                           });
  }

 private:
  using Stub = v1::Master::Stub;
  struct Peer {
    std::string address;
    std::unique_ptr<Stub> stub;
  };

  static std::string Name(const Peer& peer) { return "master " + peer.address; }
  Peer& Current() { return *peers_[current_.load(std::memory_order_relaxed) % peers_.size()]; }
  // Goes on to the next address, unless another call has done so.
  void Next(const Peer& failed) {
    unsigned current = current_.load(std::memory_order_relaxed);
    if (peers_.size() > 1 && peers_[current % peers_.size()].get() == &failed)
      current_.compare_exchange_strong(current, current + 1, std::memory_order_relaxed);
  }

  template <class Request, class Response>
  Result<Response> Repeat(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const Request& request, Duration deadline) {
    Duration backoff = kFirstBackoff;
    while (true) {
      Peer& peer = Current();
      Duration left = deadline - clock_.Monotonic();
      grpc::ClientContext context;
      SetDeadline(context, std::clamp<Duration>(left, kFirstBackoff, kAttempt));
      Response response;
      grpc::Status status = (peer.stub.get()->*method)(&context, request, &response);
      if (status.ok()) return response;
      absl::Status error = FromGrpc(status, Name(peer));
      if (!IsAway(error)) return error;
      Next(peer);
      left = deadline - clock_.Monotonic();
      if (left <= backoff) return error;
      std::this_thread::sleep_for(backoff);
      backoff = std::min(backoff * 2, kLongestBackoff);
    }
  }

  const Clock& clock_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::atomic<unsigned> current_{0};
  CallCount calls_;
};

}  // namespace

std::unique_ptr<MasterClient> MasterClient::Create(std::string addresses, const Clock& clock) {
  return std::make_unique<GrpcMasterClient>(std::move(addresses), clock);
}

}  // namespace appendfs
