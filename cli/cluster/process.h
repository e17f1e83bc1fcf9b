#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/status.h"

namespace appendfs::cli {

enum class ProcessState { kGone, kRunning, kPaused };

// A pid and when it started, so that a recycled pid is never taken for it.
struct ProcessIdentity {
  int pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot
};

// Parses /proc/PID/stat: state letter and start time. False if malformed.
bool ParseProcStat(const std::string& text, char& state, uint64_t& start_time);

ProcessState StateOf(const ProcessIdentity& process);

// Sends a signal unless the process is gone (NO_ENTRY then).
absl::Status SendSignal(const ProcessIdentity& process, int signal_number);

// Starts a program detached: its own session, standard input empty, output and
// errors appended to `log`, all signals at their defaults.
absl::StatusOr<ProcessIdentity> Spawn(const std::vector<std::string>& arguments,
                                      const std::string& log);

// Checks every few milliseconds; false if it does not become true in time.
bool WaitUntil(const std::function<bool()>& condition, std::chrono::milliseconds bound);

// The last lines of a text file, for error messages; empty if there are none.
std::string TailOfFile(const std::string& path, int lines);

}  // namespace appendfs::cli
