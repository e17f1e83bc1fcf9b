#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "client/master_client.h"
#include "client/mutation_ids.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

// This client's session at the master: opened once, kept alive by a thread of
// its own, replaced when it has expired, closed at the end. Thread-safe.
class Session {
 public:
  struct Options {
    std::string cluster_uuid;  // expected, or empty
    std::string description;
  };
  // What the owner has to do for it. Called from the session's thread, which
  // holds no lock.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual std::vector<InodeId> OpenInodes() = 0;
    // The master has restarted and knows again what is open. An error: it will
    // be done once more.
    virtual absl::Status OnMasterRestarted(ClientId) { return absl::OkStatus(); }
    // A new session has replaced the old one.
    virtual void OnNewSession(ClientId client) = 0;
  };

  static absl::StatusOr<std::unique_ptr<Session>> Open(MasterClient& master, const Clock& clock,
                                                       Options options, Duration deadline);
  ~Session() { Stop(); }

  // Starts keeping it alive, until Close; `listener` lives as long.
  void Start(Listener& listener);
  // What its thread does, until Close; for callers with a thread of their own.
  void Run(Listener& listener);
  // Ends the session at the master. Nobody may use it any more, but for its id.
  void Close();

  ClientId id() const {
    absl::MutexLock lock(&mutex_);
    return id_;
  }
  std::string cluster_uuid() const { return cluster_uuid_; }
  uint64_t chunk_bytes() const { return chunk_bytes_; }

  // The master says `id` has expired: a new session is opened in the
  // background.
  void OnExpired(ClientId id);
  // Waits for the session after `id`. False if none came by `deadline`.
  bool AwaitAfter(ClientId id, Duration deadline);

  MutationIds& mutations() { return mutations_; }

 private:
  Session(MasterClient& master, const Clock& clock, Options options)
      : master_(master), clock_(clock), options_(std::move(options)) {}
  void Stop();
  absl::Status OpenNew(Duration deadline);
  void KeepAlive();
  void Renew();

  MasterClient& master_;
  const Clock& clock_;
  const Options options_;
  std::string cluster_uuid_;  // set by the first OpenNew
  uint64_t chunk_bytes_ = 0;  // the same
  MutationIds mutations_;
  Listener* listener_ = nullptr;
  std::thread thread_;

  mutable absl::Mutex mutex_;
  ClientId id_ ABSL_GUARDED_BY(mutex_);
  uint64_t incarnation_ ABSL_GUARDED_BY(mutex_) = 0;
  Duration interval_ ABSL_GUARDED_BY(mutex_){};
  bool expired_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
