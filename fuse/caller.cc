#include "fuse/caller.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

// Of /proc/THREAD/status, whole: its list of groups may be long. Empty if it
// cannot be read. It takes none of the thread's locks (see the header); a file
// that does must not be read here.
std::string ReadStatus(pid_t thread) {
  const int file = open(StrCat("/proc/", thread, "/status").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  std::string text;
  char part[4096];
  ssize_t size = 0;
  while ((size = read(file, part, sizeof part)) > 0) text.append(part, static_cast<size_t>(size));
  close(file);
  return size < 0 ? "" : text;
}

uint64_t MaskOf(const std::string& status, const char* name) {
  const size_t at = status.find(StrCat("\n", name, ":\t"));
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + status.find('\t', at), nullptr, 16);
}

constexpr uint64_t Bit(int signal) { return 1ull << (signal - 1); }

// What language runtimes, profilers, job control and children cause; programs
// do not mean by these that a write should end.
constexpr uint64_t kNotMeant = Bit(SIGURG) | Bit(SIGPROF) | Bit(SIGVTALRM) | Bit(SIGCHLD) |
                               Bit(SIGWINCH) | Bit(SIGCONT) | Bit(SIGIO) | Bit(SIGSTOP) |
                               Bit(SIGTSTP) | Bit(SIGTTIN) | Bit(SIGTTOU) |
                               ~((1ull << 31) - 1);  // real-time signals

}  // namespace

CallerWish AskCaller(pid_t thread) {
  if (thread <= 0) return CallerWish::kUnknown;
  const std::string status = ReadStatus(thread);
  if (status.empty())
    return kill(thread, 0) != 0 && errno == ESRCH ? CallerWish::kNoLonger : CallerWish::kUnknown;
  const uint64_t pending = MaskOf(status, "SigPnd") | MaskOf(status, "ShdPnd");
  // A signal that ends a program becomes SIGKILL for each of its threads.
  if (pending & Bit(SIGKILL)) return CallerWish::kNoLonger;
  const uint64_t meant =
      pending & ~MaskOf(status, "SigBlk") & ~MaskOf(status, "SigIgn") & ~kNotMeant;
  return meant != 0 ? CallerWish::kAsked : CallerWish::kWaits;
}

bool DiesOfSignal(pid_t thread) {
  if (thread <= 0) return false;
  const std::string status = ReadStatus(thread);
  // Only who exits has no memory any more: it goes before the files are closed.
  if (status.empty() || status.find("\nVmSize:") != std::string::npos) return false;
  // The signal still pends then: the kernel takes away only the SIGKILL that it
  // makes of it for every thread. One that the program caught did not end it.
  const uint64_t survived =
      MaskOf(status, "SigBlk") | MaskOf(status, "SigIgn") | MaskOf(status, "SigCgt");
  const uint64_t pending = MaskOf(status, "SigPnd") | MaskOf(status, "ShdPnd");
  return (pending & ~survived & ~kNotMeant) != 0;
}

}  // namespace appendfs::fuse
