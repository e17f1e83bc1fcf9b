#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/status.h"
#include "proto/locks.pb.h"

namespace appendfs {

// The master's locks as the client library calls them: one attempt each,
// answered once, from a thread of gRPC, by `deadline` (Clock::Monotonic).
// Thread-safe.
class LockMaster {
 public:
  template <class Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>) &&>;

  // `addresses`: host:port, several separated by commas.
  static std::unique_ptr<LockMaster> Create(std::string addresses, const Clock& clock);
  virtual ~LockMaster() = default;
  // Ends running calls and waits for their callbacks; those to come fail.
  virtual void Stop() = 0;

  virtual void Send(const v1::SetLockRequest& request, Duration deadline,
                    Done<v1::SetLockResponse> done) = 0;
  virtual void Send(const v1::WithdrawLockRequest& request, Duration deadline,
                    Done<v1::WithdrawLockResponse> done) = 0;
  virtual void Send(const v1::TestLockRequest& request, Duration deadline,
                    Done<v1::TestLockResponse> done) = 0;
  virtual void Send(const v1::ReclaimLocksRequest& request, Duration deadline,
                    Done<v1::ReclaimLocksResponse> done) = 0;
};

}  // namespace appendfs
