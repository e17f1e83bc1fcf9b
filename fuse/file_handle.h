#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"

namespace appendfs::fuse {

// What open(2) decided about writing through a handle.
enum class WriteAccess {
  kNone,       // read only
  kAppend,     // opened with O_APPEND
  kFromEmpty,  // without O_APPEND, on a file that was empty
  kCreator,    // the same, and this open created the file: may leave gaps
};

// One open file description: what write(2), fsync(2) and close(2) mean on a
// file that only grows, and whom a late error is told.
//
// Without O_APPEND a write is an append on the condition that the file ends at
// its offset; the handle keeps track of where it expects the end, so a write
// elsewhere is refused at once. A gap past the end, by the creator, is
// appended as zeros. A record that fails after its write(2) has returned is an
// error of the handle: the next write reports it, and so does the next fsync
// or close, after which it is done with.
//
// Thread-safe. Callbacks run on the caller's thread or on one of the client
// library's; they must not block, and may run before the call has returned: as
// the answer may make the kernel release the handle, callers hold it shared. It
// may be destroyed while records are under way; their failures are then told
// nobody (close waits for them).
class FileHandle : public std::enable_shared_from_this<FileHandle> {
 public:
  using Written = absl::AnyInvocable<void(absl::StatusOr<size_t>) &&>;
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  FileHandle(std::shared_ptr<File> file, WriteAccess access);

  struct WriteMode {
    bool append = false;   // O_APPEND is set now (fcntl may have changed it)
    bool durable = false;  // answer only when the record is durable
  };
  // Queues `bytes` (copied) as one record; answers with how many were taken:
  // fewer than there are if the record would be too long. Blocks while the
  // client's queue is full.
  void Write(uint64_t offset, std::string_view bytes, WriteMode mode, Written done);
  // ftruncate(2): fine if the file ends there, or if the creator may fill the
  // gap; NOT_PERMITTED otherwise. Blocks.
  absl::Status SetSize(uint64_t size);
  // fsync(2) and close(2): when everything written before is answered; or, if
  // this thread's interruption is fired first, IN_DOUBT if any of it was sent.
  void Sync(Done done);
  void Close(Done done);
  File& file() const { return *file_; }
  InodeId inode() const { return file_->inode(); }
  WriteAccess access() const { return access_; }

  // --- locks ---------------------------------------------------------------
  // The client tells here when a lock is lost that was taken through the handle:
  // then nothing can be read or written through it any more (INPUT_OUTPUT).
  const std::shared_ptr<LockUser>& lock_user() const { return lock_user_; }
  absl::Status CheckLocks() const;
  // An owner may have a lock that goes with the handle.
  void NoteLock(const FileLock& lock);
  // A process has closed the file: its record locks are gone. Those that it
  // takes later, through other handles, do not go with this one.
  void ForgetRecordLocks(uint64_t owner);
  // All of those noted, each of the whole file.
  std::vector<FileLock> NotedLocks() const;

  // Largest run of zeros that a write past the end may ask for.
  static constexpr uint64_t kLargestGap = 1ull << 30;

 private:
  // Outlives the handle while records are under way.
  struct State {
    absl::Mutex mutex;
    // Where the next write must be, counting what is queued; unknown after an
    // O_APPEND write or a failure: then the cluster decides.
    std::optional<uint64_t> expected_end ABSL_GUARDED_BY(mutex);
    // Late errors, until told: the next write tells its own, the next fsync or
    // close tells and clears both.
    absl::Status for_write ABSL_GUARDED_BY(mutex);
    absl::Status for_sync ABSL_GUARDED_BY(mutex);

    void Fail(const absl::Status& status, bool tell_later) ABSL_LOCKS_EXCLUDED(mutex);
    absl::Status TakeForWrite() ABSL_LOCKS_EXCLUDED(mutex);
    absl::Status TakeForSync() ABSL_LOCKS_EXCLUDED(mutex);
  };

  // Queues the record; nullopt if `done` was taken and is called when it is
  // durable, else what to answer now.
  std::optional<absl::StatusOr<size_t>> Queue(uint64_t offset, std::string_view bytes,
                                              WriteMode mode, Written& done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(order_);
  // Queues zeros; failures become late errors.
  void FillGap(uint64_t from, uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(order_);

  const std::shared_ptr<File> file_;
  const WriteAccess access_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  const std::shared_ptr<LockUser> lock_user_ = std::make_shared<LockUser>();
  mutable absl::Mutex locks_mutex_;
  std::set<std::pair<bool, uint64_t>> lock_owners_ ABSL_GUARDED_BY(locks_mutex_);
  absl::Mutex order_;  // held while the records of one write are queued
};

// Blocks until everything queued on `file` before is answered, or this thread
// is interrupted.
absl::Status WaitForQueue(File& file);

}  // namespace appendfs::fuse
