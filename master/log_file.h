#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/file_system.h"
#include "common/status.h"

namespace appendfs {

// A log that grows inside space filled with zeros ahead of it, since a sync of
// new bytes in such space costs a tenth of one that must make the file longer.
// Where the records end is for the reader to find: behind them are zeros
// (log_end.h). Bytes stay in memory until they are synced or the log is closed.
// Calls from any thread.
class LogFile {
 public:
  // A sync that finds no space left makes this much more than it needs.
  static constexpr uint64_t kAheadBytes = 1 << 20;

  // `file` is empty.
  explicit LogFile(std::unique_ptr<LocalFile> file) : file_(std::move(file)) {}
  LogFile(const LogFile&) = delete;
  ~LogFile() { Close().IgnoreError(); }

  void Append(std::string_view bytes);
  // What was appended is durable when it returns OK. After an error nothing
  // is known of the file any more, and every further call returns the error.
  absl::Status Sync();
  // Writes what is left, unsynced, and gives the space behind it back.
  absl::Status Close();
  uint64_t size() const;

 private:
  absl::Status WriteDown() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MakeSpace(uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  const std::unique_ptr<LocalFile> file_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // From the start of the sector that the durable bytes end in; these come
  // first, then those to be written.
  std::string tail_ ABSL_GUARDED_BY(mutex_);
  uint64_t tail_offset_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t tail_durable_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t space_end_ ABSL_GUARDED_BY(mutex_) = 0;  // zeros up to here are durable
  bool grows_ ABSL_GUARDED_BY(mutex_) = false;      // there was no room for zeros
};

}  // namespace appendfs
