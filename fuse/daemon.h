#pragma once

#include <functional>

namespace appendfs::fuse {

// Runs `serve` in a process of its own, detached from the terminal. The caller
// gets the exit code to end with: 0 as soon as `serve` has called `ready`, else
// what `serve` returned before. Until `ready` the child writes to the caller's
// standard error; from then on warnings and errors go to syslog. Must be called
// before any thread is started.
int RunInBackground(const std::function<int(const std::function<void()>& ready)>& serve);

}  // namespace appendfs::fuse
