#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/ids.h"

namespace appendfs {

// Who keeps what of the namespace, and must hear of a change before anybody is
// told of it. A watcher is one link of a client. It may believe what it watches
// for the length of a lease after its last call, so that no change waits longer
// than that for one that does not answer. An inode stands for its attributes
// and, if it is a directory, for the names in it.
//
// That is enough because a link keeps its order: who hears of a change late has
// let its lease pass, and hears of it before the answer that renews it.
//
// A state machine without threads, time or I/O. What is returned as done is to
// be called, without locks.
class WatchTable {
 public:
  using Watcher = uint64_t;
  using Done = absl::AnyInvocable<void() &&>;
  static constexpr size_t kMostWatched = 1 << 16;  // by one; then it starts over

  // Nothing is done before `hold_until`: an earlier master's leases end then.
  WatchTable(Duration lease, Duration hold_until) : lease_(lease), hold_until_(hold_until) {}

  Watcher Join();
  // It has called. False: its lease is not renewed, it has yet to hear something.
  bool Renew(Watcher watcher, Duration now);

  // What is to be sent to a watcher, before anything that is sent to it later.
  struct Telling {
    Watcher watcher = 0;
    uint64_t number = 0;
    std::vector<InodeId> inodes;
  };
  // What is read after this is kept. Perhaps everything before has to go.
  std::optional<Telling> Watch(Watcher watcher, InodeId inode);
  // Its link is gone: it can be told nothing, and believes for the rest of its lease.
  void Leave(Watcher watcher);

  // A change has been made, and is not answered before `done`. Whoever watches
  // one of the inodes is told, but for `except`, who made it (0: nobody).
  struct Begun {
    std::vector<Telling> tell;
    std::vector<Done> done;  // perhaps this one
  };
  Begun Change(const std::vector<InodeId>& inodes, Watcher except, Duration now, Done done);
  // It has heard all it was told up to `number`.
  std::vector<Done> Heard(Watcher watcher, uint64_t number, Duration now);

  // At NextDue, or later.
  std::vector<Done> Expire(Duration now);
  Duration NextDue() const;  // Duration::max(): never

  size_t watched_inodes() const { return watchers_.size(); }
  size_t links() const { return links_.size(); }

 private:
  struct Link {
    Duration lease_end{};
    bool gone = false;
    uint64_t last_number = 0;
    absl::flat_hash_set<InodeId> watched;
    absl::flat_hash_map<InodeId, uint64_t> telling;  // with which number; not heard yet
  };
  struct Waiting {
    std::map<Watcher, uint64_t> until;  // what they have to hear
    Done done;
  };

  void Unwatch(Watcher watcher, InodeId inode);
  // `watcher` does not hold up anything that waits for it to hear `number` or less.
  void LetGo(Watcher watcher, uint64_t number);
  std::vector<Done> TakeDone(Duration now);

  const Duration lease_;
  const Duration hold_until_;
  Watcher last_watcher_ = 0;
  std::map<Watcher, Link> links_;
  absl::flat_hash_map<InodeId, absl::flat_hash_set<Watcher>> watchers_;
  std::vector<Waiting> waiting_;  // in the order of their changes
};

}  // namespace appendfs
