#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"
#include "master/sessions/watch_table.h"

namespace appendfs {

// The watches of all links, with the time and the ways to their clients. Owned
// by the process; thread-safe.
class Watches {
 public:
  static constexpr Duration kLease = std::chrono::seconds(1);

  // A link's end here.
  class Link {
   public:
    virtual ~Link() = default;
    // Queues it: what is queued later leaves later. Under a lock of the caller's.
    virtual void Tell(const WatchTable::Telling& telling) = 0;
    // Sends what is queued.
    virtual void Send() = 0;
  };

  // `restarted`: an earlier master may have granted leases until just now.
  Watches(const Clock& clock, bool restarted);
  ~Watches();

  WatchTable::Watcher Join(std::weak_ptr<Link> link);
  void Leave(WatchTable::Watcher watcher);
  bool Renew(WatchTable::Watcher watcher);
  void Watch(WatchTable::Watcher watcher, const std::vector<InodeId>& inodes);
  // `done` from any thread, perhaps before this returns.
  void Change(const std::vector<InodeId>& inodes, WatchTable::Watcher except,
              WatchTable::Done done);
  void Heard(WatchTable::Watcher watcher, uint64_t number);
  // Calls nothing back any more.
  void Stop();

 private:
  std::shared_ptr<Link> Tell(const WatchTable::Telling& telling)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeAtNextDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Expire(Duration planned);

  const Clock& clock_;
  absl::Mutex mutex_;
  WatchTable table_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<WatchTable::Watcher, std::weak_ptr<Link>> links_ ABSL_GUARDED_BY(mutex_);
  Duration planned_ ABSL_GUARDED_BY(mutex_) = Duration::max();  // when Expire runs next
  std::unique_ptr<Executor> timers_ ABSL_GUARDED_BY(mutex_);    // null: stopped
};

}  // namespace appendfs
