#pragma once

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/appender.h"
#include "client/appendfs.h"
#include "client/queue_budget.h"
#include "client/reader.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"

namespace appendfs {

// What a client has of one open file, whoever opened it.
struct FileState {
  InodeId inode;
  std::shared_ptr<KnownSize> known;
  std::shared_ptr<Appender> appender;
  std::shared_ptr<Reader> reader;
};

// Which files this client has open, and that the master knows it: one File per
// inode, registered at the master before it is handed out and released some
// time after its last user has gone and its queue is empty. A release and a
// registration of the same inode never overtake each other. Thread-safe.
class OpenFiles {
 public:
  // How this part reaches the master and makes what it keeps.
  struct Hooks {
    std::function<absl::StatusOr<v1::FilePlan>(InodeId)> open;
    std::function<absl::Status(const std::vector<InodeId>&)> release;
    // `plan`: as the master told it at the opening, or null.
    std::function<std::shared_ptr<FileState>(InodeId, const v1::FilePlan* plan)> make_state;
    // Calls back when nothing is queued any more.
    std::function<void(FileState&, absl::AnyInvocable<void() &&>)> when_idle;
    std::function<std::shared_ptr<File>(std::shared_ptr<FileState>)> make_file;
  };

  // `executor` runs the releases, which block.
  OpenFiles(Hooks hooks, Executor& executor) : hooks_(std::move(hooks)), executor_(executor) {}

  absl::StatusOr<std::shared_ptr<File>> Open(InodeId inode, bool already_registered);
  // The last user of the File has gone; called by its destructor.
  void OnFileGone(InodeId inode);

  // Around a call that may register an inode not known before: between the two
  // nothing is released. An inode so registered waits for its Open.
  void BeginRegistering();
  void EndRegistering(InodeId registered);  // none: nothing was

  std::vector<InodeId> Registered() const;
  std::shared_ptr<FileState> Find(InodeId inode) const;
  std::vector<std::shared_ptr<FileState>> States() const;
  // Forgets everything; nothing is released any more.
  void Stop();

 private:
  struct Slot {
    std::weak_ptr<File> file;
    std::shared_ptr<FileState> state;
    bool promised = false;  // registered, its Open is still to come
    bool busy = false;      // being opened or released at the master
  };

  void ReleaseSoon(Duration delay);
  void ReleaseIdle();

  const Hooks hooks_;
  Executor& executor_;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<InodeId, Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::set<InodeId> gone_ ABSL_GUARDED_BY(mutex_);  // to be released when idle
  int registering_ ABSL_GUARDED_BY(mutex_) = 0;
  bool releasing_ ABSL_GUARDED_BY(mutex_) = false;  // a release is under way
  bool release_posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
