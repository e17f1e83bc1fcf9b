#include "master/rpc/lock_service.h"

#include "master/rpc/patient_reactor.h"
#include "master/rpc/reply.h"
#include "proto/locks.grpc.pb.h"

namespace appendfs {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

class LockService final : public v1::FileLocks::CallbackService {
 public:
  explicit LockService(Locks& locks) : locks_(locks) {}

  Reactor* Set(Context*, const v1::SetLockRequest* request,
               v1::SetLockResponse* response) override {
    auto* reactor = new PatientReactor<v1::SetLockResponse>(response);
    locks_.Set(*request, reactor->reply());
    return reactor;
  }
  Reactor* Withdraw(Context* context, const v1::WithdrawLockRequest* request,
                    v1::WithdrawLockResponse* response) override {
    return Answer(context, response, locks_.Withdraw(*request));
  }
  Reactor* Test(Context* context, const v1::TestLockRequest* request,
                v1::TestLockResponse* response) override {
    return Answer(context, response, locks_.Test(*request));
  }
  Reactor* Reclaim(Context* context, const v1::ReclaimLocksRequest* request,
                   v1::ReclaimLocksResponse* response) override {
    return Answer(context, response, locks_.Reclaim(*request));
  }

 private:
  Locks& locks_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLockService(Locks& locks) {
  return std::make_unique<LockService>(locks);
}

}  // namespace appendfs
