#include "cli/cluster/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr std::chrono::milliseconds kPause{10};

bool ReadProcStat(int pid, char& state, uint64_t& start_time) {
  std::ifstream file(StrCat("/proc/", pid, "/stat"));
  std::string text;
  return std::getline(file, text) && ParseProcStat(text, state, start_time);
}

// Spawn attributes and file actions, destroyed whatever happens.
class SpawnPlan {
 public:
  explicit SpawnPlan(const std::string& log) {
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_init(&actions_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;

  int Run(std::vector<char*>& argv, int& pid) {
    return posix_spawn(&pid, argv[0], &actions_, &attributes_, argv.data(), environ);
  }

 private:
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

}  // namespace

bool ParseProcStat(const std::string& text, char& state, uint64_t& start_time) {
  // The second field, the name, stands in parentheses and may hold anything.
  size_t end = text.rfind(')');
  if (end == text.npos || end + 2 >= text.size()) return false;
  std::istringstream fields(text.substr(end + 2));
  std::string skipped;
  if (!(fields >> state)) return false;
  for (int field = 4; field < 22; ++field)
    if (!(fields >> skipped)) return false;
  return static_cast<bool>(fields >> start_time);
}

ProcessState StateOf(const ProcessIdentity& process) {
  char state = 0;
  uint64_t start_time = 0;
  if (process.pid <= 0) return ProcessState::kGone;
  waitpid(process.pid, nullptr, WNOHANG);  // if it is a child of ours that has ended
  if (!ReadProcStat(process.pid, state, start_time)) return ProcessState::kGone;
  if (start_time != process.start_time || state == 'Z' || state == 'X') return ProcessState::kGone;
  return state == 'T' || state == 't' ? ProcessState::kPaused : ProcessState::kRunning;
}

absl::Status SendSignal(const ProcessIdentity& process, int signal_number) {
  if (StateOf(process) == ProcessState::kGone)
    return MakeError(v1::NO_ENTRY, StrCat("process ", process.pid, " does not run"));
  if (kill(process.pid, signal_number) != 0)
    return ErrnoError("signal", StrCat("process ", process.pid), errno);
  return absl::OkStatus();
}

absl::StatusOr<ProcessIdentity> Spawn(const std::vector<std::string>& arguments,
                                      const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ProcessIdentity process;
  SpawnPlan plan(log);
  if (int error = plan.Run(argv, process.pid); error != 0)
    return ErrnoError("start", arguments[0], error);
  // It exists at least as a zombie, since nobody else waits for it.
  char state = 0;
  if (!ReadProcStat(process.pid, state, process.start_time))
    return MakeError(v1::INPUT_OUTPUT, StrCat("/proc/", process.pid, "/stat cannot be read"));
  return process;
}

bool WaitUntil(const std::function<bool()>& condition, std::chrono::milliseconds bound) {
  auto end = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

std::string TailOfFile(const std::string& path, int lines) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  std::streamoff size = file.tellg();
  std::streamoff length = std::min<std::streamoff>(size, 16 << 10);
  std::string text(static_cast<size_t>(length), '\0');
  file.seekg(size - length);
  file.read(text.data(), length);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  size_t start = text.size();
  for (int i = 0; i < lines && start != text.npos && start > 0; ++i)
    start = text.rfind('\n', start - 1);
  return start == text.npos ? text : text.substr(start == 0 ? 0 : start + 1);
}

}  // namespace appendfs::cli
