#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace asio {
class io_context;
}

namespace appendfs {

// The threads that links run on: each waits for its sockets and runs what
// their owners do with what came. Owned by the process or the client.
class IoThreads {
 public:
  // What uses a thread until it is stopped.
  class User {
   public:
    virtual ~User() = default;
    virtual void Stop() = 0;  // from any thread; again and again does no harm
  };

  explicit IoThreads(const std::string& name, int threads = 1);
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;

  // One of them, in turn. A link and all its callbacks stay on one thread.
  asio::io_context& Pick();
  // To be stopped with the threads; at once if they are already.
  void Add(std::weak_ptr<User> user);
  // Stops all users and returns after the last callback. Not from a callback.
  void Stop();

 private:
  struct Loop;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<unsigned> next_{0};
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<User>> users_ ABSL_GUARDED_BY(mutex_);
  size_t prune_at_ ABSL_GUARDED_BY(mutex_) = 64;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
