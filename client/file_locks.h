#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "common/file_lock.h"
#include "common/status.h"

namespace appendfs {

enum class LockOutcome { kGranted, kCollides, kDeadlock };

// Whoever uses a file under a lock and must stop when the lock is lost: set
// once, by the library.
struct LockUser {
  std::atomic<bool> lost = false;
};

// flock(2) and fcntl(2) across all clients of the cluster. Part of the client
// (appendfs.h). Thread-safe; callbacks run on a thread of the library, or the
// caller's, and must not block.
class FileLocks {
 public:
  virtual ~FileLocks() = default;

  // Whoever does not wait hears within the client's timeout. Who waits does so
  // for as long as it takes, or until his Interruption is fired: INTERRUPTED,
  // and he has nothing new.
  using Done = absl::AnyInvocable<void(absl::StatusOr<LockOutcome>) &&>;
  virtual void Lock(const FileLock& lock, bool wait, std::shared_ptr<LockUser> user, Done done) = 0;
  // If the master is away for longer than the timeout the answer is its error;
  // it will be told later.
  virtual void Unlock(const FileLock& lock, Done done) = 0;
  // Has the owner locked anything of the file? Costs nothing where there are no
  // locks.
  virtual bool HasAny(const FileLock& lock) const = 0;

  struct Holder {
    bool ours = false;  // of this client
    FileLock lock;
  };
  // What is in the way of this lock, if anything is. Blocks.
  virtual absl::StatusOr<std::optional<Holder>> Test(const FileLock& lock) = 0;
};

}  // namespace appendfs
