#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/executor.h"
#include "master/meta_log.h"
#include "master/sessions/open_inodes.h"
#include "master/sessions/session_table.h"
#include "proto/master.pb.h"

namespace appendfs {

struct SessionOptions {
  Duration timeout = std::chrono::seconds(180);  // after the last KeepAlive
  Duration tick = std::chrono::seconds(1);       // how often sessions are looked at
};

// The sessions of this master: made and ended through the log, kept alive and
// timed here. Purges orphans that nobody has open any more.
//
// The composition root makes OpenInodes first (the log's gate), then the log,
// then this, then whoever uses it; it calls Start when garbage can be taken,
// and MetaLog::Stop before it destroys any of them. Thread-safe; callbacks run
// on the log's thread.
class Sessions : public SessionTable {
 public:
  // Loads the sessions and orphans that the tables hold.
  static absl::StatusOr<std::unique_ptr<Sessions>> Create(const SessionOptions& options,
                                                          MetaLog& log, OpenInodes& open_inodes,
                                                          const Clock& clock);
  // Called when a session has ended. Set before Start, and before any call.
  using EndListener = std::function<void(ClientId)>;
  virtual void OnEnd(EndListener listener) = 0;
  virtual std::vector<ClientId> clients() const = 0;
  // Begins to end sessions that time out and to purge orphans. `garbage` takes
  // the handles of purged files; `executor` runs the work, and nothing else's.
  using GarbageSink = std::function<void(std::vector<ChunkHandle>)>;
  virtual void Start(GarbageSink garbage, std::unique_ptr<Executor> executor) = 0;
  void Start(GarbageSink garbage) { Start(std::move(garbage), MakeThreadExecutor("sessions")); }

  using OpenDone = absl::AnyInvocable<void(absl::StatusOr<ClientId>) &&>;
  virtual void Open(const std::string& description, OpenDone done) = 0;
  using CloseDone = absl::AnyInvocable<void(absl::Status) &&>;
  virtual void Close(ClientId client, CloseDone done) = 0;
  // Error: SESSION_EXPIRED.
  virtual absl::Status KeepAlive(ClientId client) = 0;
  virtual absl::Status Reclaim(ClientId client, const std::vector<InodeId>& inodes) = 0;

  // OK, or SESSION_EXPIRED, which says how to go on.
  virtual absl::Status Check(ClientId client) const = 0;
  // Whether a mutation may go to the log: its session is live and its answer
  // has not been confirmed already (then this is a late copy of it:
  // SEQUENCE_FORGOTTEN).
  virtual absl::Status Admit(const v1::MutationId& mutation) = 0;

  // Proposes the purge of orphans nobody has open, if there are any. Called
  // after files were closed.
  virtual void PurgeOrphans() = 0;

  virtual Duration timeout() const = 0;
};

}  // namespace appendfs
