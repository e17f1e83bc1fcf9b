#pragma once

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/file_lock.h"
#include "common/ids.h"

namespace appendfs {

// A client's call for a lock, by the client's own numbering.
struct LockCall {
  ClientId client;
  uint64_t number = 0;
  auto operator<=>(const LockCall&) const = default;
};

// Who has locked what of which file, and who waits for it: the rules of
// flock(2) and fcntl(2) for all mounts of a cluster. An owner is one of a
// client's. A plain state machine: not thread-safe, never calls out.
class LockTable {
 public:
  enum class Answer {
    kGranted,
    kCollides,  // somebody else's lock is in the way
    kDeadlock,  // it would wait for somebody who waits for it
    kWaits,     // TakeGranted will name the call
  };
  // Record locks change mode at once or not at all. A shared flock is let go
  // before it is taken exclusively, as flock(2) says: two who both want that
  // do not wait for each other.
  Answer Lock(const LockCall& call, const FileLock& lock, bool wait);
  // Only the owner, file and span count.
  void Unlock(ClientId client, const FileLock& lock);
  // The call does not wait any more; whether it did.
  bool Withdraw(const LockCall& call);
  // All that the client has and waits for is let go.
  void EndClient(ClientId client);

  // Calls that waited and have their lock now, in the order they got it.
  std::vector<LockCall> TakeGranted() { return std::exchange(granted_, {}); }

  // A lock that is in the way of this one, as its holder sees it.
  struct Holder {
    ClientId client;
    FileLock lock;
  };
  std::optional<Holder> Collision(ClientId client, const FileLock& lock) const;
  bool Has(ClientId client, const FileLock& lock) const;
  bool Waits(const LockCall& call) const { return waiting_.contains(call); }
  size_t files() const { return files_.size(); }

 private:
  struct Owner {
    ClientId client;
    uint64_t id = 0;
    auto operator<=>(const Owner&) const = default;
  };
  struct FileKey {
    InodeId inode;
    bool whole_file = false;
    auto operator<=>(const FileKey&) const = default;
  };
  struct Held {
    LockRanges ranges;
    int32_t pid = 0;
  };
  struct Waiter {
    LockCall call;
    FileLock lock;
    Owner owner() const { return {call.client, lock.owner}; }
  };
  struct OfFile {
    std::map<Owner, Held> holders;
    std::list<Waiter> waiters;  // in the order they came
  };
  using Files = std::map<FileKey, OfFile>;

  static FileKey KeyOf(const FileLock& lock) { return {lock.inode, lock.whole_file}; }
  static bool Collides(const OfFile& file, const Owner& owner, const FileLock& lock);
  static void Hold(OfFile& file, const Owner& owner, const FileLock& lock);
  static void LetGo(OfFile& file, const Owner& owner, LockSpan span);
  // Those whose locks are in the way.
  std::vector<Owner> Blockers(const Owner& owner, const FileLock& lock) const;
  bool WouldDeadlock(const Owner& owner, const FileLock& lock) const;
  // After something was let go: whoever can have his lock gets it. The file is
  // forgotten if nothing is left of it.
  void Settle(Files::iterator file);

  Files files_;
  std::map<LockCall, FileLock> waiting_;
  std::vector<LockCall> granted_;
};

}  // namespace appendfs
