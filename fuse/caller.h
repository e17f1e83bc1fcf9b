#pragma once

#include <sys/types.h>

namespace appendfs::fuse {

// Does the thread that waits for an answer still want it? Told by what /proc
// says of its signals.
enum class CallerWish {
  kWaits,     // nothing pends but what runtimes send themselves all the time
  kAsked,     // a signal pends that the program or its user means: SIGINT, SIGTERM ...
  kUnknown,   // it cannot be seen (another PID namespace, hidden /proc)
  kNoLonger,  // it is being killed, or gone
};
CallerWish AskCaller(pid_t thread);

// Is the thread on its way out because of a signal? Nobody is told what its
// close(2) comes to.
bool DiesOfSignal(pid_t thread);

}  // namespace appendfs::fuse
