#pragma once

#include <sys/types.h>

namespace appendfs::fuse {

// What becomes of programs that wait for an answer, as far as /proc tells.
//
// A program may wait for us with its exec lock (exec_update_lock) held: execve
// closes files with it. Or with its mmap lock, in a page fault. Most files of
// /proc/PID need one of them: stat, wchan, syscall, stack, environ, maps, io,
// exe ... (Linux 6.18, measured; which do varies). Who reads these of a caller waits for the
// program, which waits for us. So of callers nothing is read but status and
// comm, which take neither, by anybody in this process.

// Does the thread that waits for an answer still want it? Told by its signals.
enum class CallerWish {
  kWaits,     // nothing pends but what runtimes send themselves all the time
  kAsked,     // a signal pends that the program or its user means: SIGINT, SIGTERM ...
  kUnknown,   // it cannot be seen (another PID namespace, hidden /proc)
  kNoLonger,  // it is being killed, or gone
};
CallerWish AskCaller(pid_t thread);

// Is the thread on its way out because of a signal? Nobody is told what its
// close(2) comes to. False also where it does not show: after signals that
// leave a core (SIGSEGV, SIGABRT, SIGQUIT ...), and while it is traced.
bool DiesOfSignal(pid_t thread);

}  // namespace appendfs::fuse
