#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "common/status.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// Who this server is in which cluster, and the newest master it has heard of:
// what every greeting and every command is checked against. Thread-safe.
class Membership {
 public:
  struct Self {
    std::string cluster_uuid;  // empty: not registered yet, and a new directory
    ServerId server;
    uint64_t incarnation = 0;   // of the master
    uint64_t registration = 0;  // this process's own; 0: not registered yet
  };

  // As found in the data directory.
  Membership(std::string cluster_uuid, ServerId server);

  Self self() const;
  void Registered(const Self& self);

  // Errors: NOT_READY before the first registration of a new directory,
  // WRONG_CLUSTER, VERSION_MISMATCH.
  absl::Status CheckHello(const v1::ClientHello& hello) const;
  absl::Status CheckHello(const v1::DataHello& hello) const;
  absl::Status CheckHello(const v1::PeerHello& hello) const;  // also WRONG_SERVER
  // Raises the newest origin seen. Also STALE_COMMAND.
  absl::Status CheckCommand(const v1::CommandOrigin& origin);
  // The same for commands that must not come twice, before and after a restart:
  // NOT_READY until this process has registered, after which older ones are stale.
  absl::Status CheckOrder(const v1::CommandOrigin& origin);

 private:
  absl::Status CheckCluster(const std::string& cluster_uuid) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What a command comes from: the newer refuses the older.
  struct Origin {
    uint64_t incarnation = 0;
    uint64_t registration = 0;
    auto operator<=>(const Origin&) const = default;
  };

  mutable absl::Mutex mutex_;
  Self self_ ABSL_GUARDED_BY(mutex_);
  // May be newer than our own registration, whose answer was lost then: to
  // take it for ours would be to report under it what the master never asked.
  Origin newest_ ABSL_GUARDED_BY(mutex_);
  bool registered_ ABSL_GUARDED_BY(mutex_) = false;  // in this process's life
};

}  // namespace appendfs
