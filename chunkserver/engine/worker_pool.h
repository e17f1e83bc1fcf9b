#pragma once

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace appendfs {

// A few threads for work that waits: commands of the master, which wait for
// the disk, and copies, which wait for other servers. Thread-safe.
class WorkerPool {
 public:
  WorkerPool(std::string thread_name, int threads);
  ~WorkerPool();  // as Stop

  void Post(absl::AnyInvocable<void() &&> work);
  // Runs what was posted, then joins; what is posted later runs on the caller.
  void Stop();

 private:
  void Run(const std::string& name);
  bool Wakeful() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !work_.empty(); }

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void() &&>> work_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace appendfs
