#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

namespace appendfs::fuse {

// A process of its own that waits in the mount. It makes system calls only:
// this one has threads. It does not keep the mount's device, so that the mount,
// and its wait, end with this process whatever happens. Killed by its
// destructor, which waits for its end: only where the mount answers, or has
// been aborted.
class Blocked {
 public:
  template <class Work>
  explicit Blocked(Work work) {
    const std::vector<int> devices = FuseDevices();
    pid_ = Fork();
    if (pid_ == 0) Run(devices, work);
  }
  ~Blocked();
  Blocked(const Blocked&) = delete;

  void Signal(int number) const;
  // How it ended, as waitpid(2) tells it.
  int Wait();
  // The same; nothing if it has not after 30 seconds.
  std::optional<int> WaitBounded();

 private:
  static std::vector<int> FuseDevices();  // of this process; one per mount
  static pid_t Fork();
  static void Close(const std::vector<int>& files);
  [[noreturn]] static void Exit(int code);
  template <class Work>
  [[noreturn]] static void Run(const std::vector<int>& devices, Work& work) {
    Close(devices);
    Exit(work());
  }

  pid_t pid_;
};

}  // namespace appendfs::fuse
