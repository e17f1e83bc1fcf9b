#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/status.h"
#include "master/rpc/master_calls.h"

namespace appendfs {

// A unary call whose answer may take long: ends when the handler answers or
// when the caller is gone (or the server shuts down), whichever is first.
// Deletes itself.
template <class Response>
class PatientReactor final : public grpc::ServerUnaryReactor {
 public:
  explicit PatientReactor(Response* out) : shared_(std::make_shared<Shared>()) {
    absl::MutexLock lock(&shared_->mutex);
    shared_->reactor = this;
    shared_->out = out;
  }

  Reply<Response> reply() {
    return [shared = shared_](absl::StatusOr<Response> result) { shared->End(std::move(result)); };
  }

  void OnCancel() override {
    shared_->End(MakeError(v1::INTERRUPTED, "the caller does not wait any longer"));
  }
  void OnDone() override { delete this; }

 private:
  struct Shared {
    void End(absl::StatusOr<Response> result) {
      const absl::Status status = result.status();
      PatientReactor* ending = nullptr;
      {
        absl::MutexLock lock(&mutex);
        if (!reactor) return;
        ending = std::exchange(reactor, nullptr);
        if (status.ok()) *out = *std::move(result);
      }
      ending->Finish(ToGrpc(status));
    }

    absl::Mutex mutex;
    PatientReactor* reactor ABSL_GUARDED_BY(mutex) = nullptr;  // null: ended
    Response* out ABSL_GUARDED_BY(mutex) = nullptr;
  };
  const std::shared_ptr<Shared> shared_;
};

}  // namespace appendfs
