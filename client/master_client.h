#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"
#include "common/status.h"
#include "proto/master.pb.h"

namespace appendfs {

// The master as the client library calls it. Thread-safe.
//
// The blocking calls are repeated, with the same bytes and so the same
// MutationId, while the master is away, starting or silent, at the addresses
// in turn, until `deadline` (Clock::Monotonic); then they return the last
// error, UNREACHABLE or TIMED_OUT, naming the master.
class MasterClient {
 public:
  // `addresses`: host:port, several separated by commas.
  // `timers` ends attempts whose time is over.
  static std::unique_ptr<MasterClient> Create(std::string addresses, Executor& timers,
                                              const Clock& clock);
  virtual ~MasterClient() = default;
  // Ends all calls, UNREACHABLE, and returns after the last callback; later
  // calls end at once.
  virtual void Stop() {}

  // Told of what others change, if what the master says is kept: in order with the
  // answers, from a thread of the link, perhaps under a lock of its; must not block.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    // `heard`, from any thread, in the order of the changes: the master waits for it.
    virtual void OnChanged(const std::vector<InodeId>& inodes,
                           absl::AnyInvocable<void() &&> heard) = 0;
    virtual void OnRefused() = 0;  // an answer that follows may not be kept
    virtual void OnLost() = 0;     // whatever was kept is to be dropped
  };
  // Asks to be told; false: that cannot be had. Before the first call; `watcher` outlives Stop.
  virtual bool Watch(Watcher&) { return false; }
  // Until when (Clock::Monotonic) what was kept may be believed, and whether now.
  virtual Duration BelievedUntil() const { return Duration::zero(); }
  virtual bool Believes() const { return false; }

  template <class Response>
  using Result = absl::StatusOr<Response>;
  // clang-format off
  virtual Result<v1::OpenSessionResponse> Call(const v1::OpenSessionRequest&, Duration deadline) = 0;
  virtual Result<v1::KeepAliveResponse> Call(const v1::KeepAliveRequest&, Duration deadline) = 0;
  virtual Result<v1::CloseSessionResponse> Call(const v1::CloseSessionRequest&, Duration deadline) = 0;
  virtual Result<v1::Entry> Call(const v1::LookupRequest&, Duration deadline) = 0;
  virtual Result<v1::Entry> Call(const v1::GetAttributesRequest&, Duration deadline) = 0;
  virtual Result<v1::Entry> Call(const v1::SetAttributesRequest&, Duration deadline) = 0;
  virtual Result<v1::MakeNodeResponse> Call(const v1::MakeNodeRequest&, Duration deadline) = 0;
  virtual Result<v1::ReadLinkResponse> Call(const v1::ReadLinkRequest&, Duration deadline) = 0;
  virtual Result<v1::Entry> Call(const v1::LinkRequest&, Duration deadline) = 0;
  virtual Result<v1::UnlinkResponse> Call(const v1::UnlinkRequest&, Duration deadline) = 0;
  virtual Result<v1::RenameResponse> Call(const v1::RenameRequest&, Duration deadline) = 0;
  virtual Result<v1::ReadDirectoryResponse> Call(const v1::ReadDirectoryRequest&, Duration deadline) = 0;
  virtual Result<v1::StatFsResponse> Call(const v1::StatFsRequest&, Duration deadline) = 0;
  virtual Result<v1::GetXattrResponse> Call(const v1::GetXattrRequest&, Duration deadline) = 0;
  virtual Result<v1::ListXattrsResponse> Call(const v1::ListXattrsRequest&, Duration deadline) = 0;
  virtual Result<v1::SetXattrResponse> Call(const v1::SetXattrRequest&, Duration deadline) = 0;
  virtual Result<v1::RemoveXattrResponse> Call(const v1::RemoveXattrRequest&, Duration deadline) = 0;
  virtual Result<v1::FilePlan> Call(const v1::OpenRequest&, Duration deadline) = 0;
  virtual Result<v1::ReleaseResponse> Call(const v1::ReleaseRequest&, Duration deadline) = 0;
  virtual Result<v1::FilePlan> Call(const v1::GetPlanRequest&, Duration deadline) = 0;
  // clang-format on

  // One attempt, answered by `deadline` from a thread of the link, the timers or Stop.
  virtual void OpenTail(const v1::OpenTailRequest& request, Duration deadline,
                        absl::AnyInvocable<void(Result<v1::Chunk>) &&> done) = 0;
  // One attempt; nobody waits for it.
  virtual void ReportReplica(const v1::ReportReplicaRequest& request) = 0;
};

}  // namespace appendfs
