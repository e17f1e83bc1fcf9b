#include "client/lock_master.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/locks.grpc.pb.h"

namespace appendfs {
namespace {

using Stub = v1::FileLocks::Stub;

class GrpcLockMaster final : public LockMaster {
 public:
  GrpcLockMaster(std::string addresses, const Clock& clock) : clock_(clock) {
    for (absl::string_view part : absl::StrSplit(ToAbsl(addresses), ',', absl::SkipWhitespace()))
      peers_.push_back({std::string(part), v1::FileLocks::NewStub(MakeChannel(std::string(part)))});
  }
  ~GrpcLockMaster() override { Stop(); }
  void Stop() override {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (grpc::ClientContext* context : running_) context->TryCancel();
    auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_.empty(); };
    mutex_.Await(absl::Condition(&none));
  }

  void Send(const v1::SetLockRequest& request, Duration deadline,
            Done<v1::SetLockResponse> done) override {
    Start(&Stub::async::Set, request, deadline, std::move(done));
  }
  void Send(const v1::WithdrawLockRequest& request, Duration deadline,
            Done<v1::WithdrawLockResponse> done) override {
    Start(&Stub::async::Withdraw, request, deadline, std::move(done));
  }
  void Send(const v1::TestLockRequest& request, Duration deadline,
            Done<v1::TestLockResponse> done) override {
    Start(&Stub::async::Test, request, deadline, std::move(done));
  }
  void Send(const v1::ReclaimLocksRequest& request, Duration deadline,
            Done<v1::ReclaimLocksResponse> done) override {
    Start(&Stub::async::Reclaim, request, deadline, std::move(done));
  }

 private:
  struct Peer {
    std::string address;
    std::unique_ptr<Stub> stub;
  };

  template <class Request, class Response>
  using Method = void (Stub::async::*)(grpc::ClientContext*, const Request*, Response*,
                                       std::function<void(grpc::Status)>);

  template <class Request, class Response>
  void Start(Method<Request, Response> method, const Request& request, Duration deadline,
             Done<Response> done) {
    struct Call {
      grpc::ClientContext context;
      Request request;
      Response response;
      Done<Response> done;
    };
    auto* call = new Call{.request = request, .done = std::move(done)};
    SetDeadline(call->context,
                std::max<Duration>(deadline - clock_.Monotonic(), std::chrono::milliseconds(10)));
    if (!Begin(&call->context)) {
      std::move(call->done)(MakeError(v1::SHUTTING_DOWN, "the client was closed"));
      delete call;
      return;
    }
    const unsigned at = current_.load(std::memory_order_relaxed);
    const Peer& peer = peers_[at % peers_.size()];
    (peer.stub->async()->*method)(
        &call->context, &call->request, &call->response,
        [this, call, at, name = StrCat("master ", peer.address)](grpc::Status status) {
          if (status.ok()) {
            std::move(call->done)(std::move(call->response));
          } else {
            absl::Status error = FromGrpc(status, name);
            if (HasReason(error, v1::UNREACHABLE)) Next(at);
            std::move(call->done)(std::move(error));
          }
          End(&call->context);
          delete call;
        });
  }
  bool Begin(grpc::ClientContext* context) {
    absl::MutexLock lock(&mutex_);
    if (!stopped_) running_.insert(context);
    return !stopped_;
  }
  void End(grpc::ClientContext* context) {
    absl::MutexLock lock(&mutex_);
    running_.erase(context);
  }
  void Next(unsigned failed) { current_.compare_exchange_strong(failed, failed + 1); }

  const Clock& clock_;
  std::vector<Peer> peers_;
  std::atomic<unsigned> current_{0};
  absl::Mutex mutex_;
  std::set<grpc::ClientContext*> running_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<LockMaster> LockMaster::Create(std::string addresses, const Clock& clock) {
  return std::make_unique<GrpcLockMaster>(std::move(addresses), clock);
}

}  // namespace appendfs
