#include "fuse/caller.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

// Of a file in /proc, which is short; empty if it cannot be read.
std::string ReadProc(pid_t thread, const char* name) {
  const std::string path = StrCat("/proc/", thread, "/", name);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  char text[4096];
  const ssize_t size = read(file, text, sizeof text);
  close(file);
  return size <= 0 ? "" : std::string(text, static_cast<size_t>(size));
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
  const std::string status = ReadProc(thread, "status");
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
  constexpr size_t kFlags = 9 - 3, kExitCode = 52 - 3;  // proc(5) counts from 1; after the name
  constexpr unsigned long kExiting = 0x4;               // PF_EXITING
  if (thread <= 0) return false;
  const std::string stat = ReadProc(thread, "stat");
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return false;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 2), ' ');
  if (fields.size() <= kExitCode) return false;
  const unsigned long flags = std::strtoul(fields[kFlags].c_str(), nullptr, 10);
  const long code = std::strtol(fields[kExitCode].c_str(), nullptr, 10);
  return (flags & kExiting) != 0 && (code & 0x7f) != 0;
}

}  // namespace appendfs::fuse
