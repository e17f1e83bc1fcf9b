#include "tests/fuse/kernel_mount/blocked.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

namespace appendfs::fuse {

Blocked::~Blocked() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Blocked::Signal(int number) const { kill(pid_, number); }

int Blocked::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return status;
}

std::optional<int> Blocked::WaitBounded() {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < patience) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = 0;
      return status;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return std::nullopt;
}

std::vector<int> Blocked::FuseDevices() {
  std::vector<int> devices;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (std::filesystem::read_symlink(entry, error) == "/dev/fuse")
      devices.push_back(std::stoi(entry.path().filename()));
  }
  return devices;
}

pid_t Blocked::Fork() { return fork(); }

void Blocked::Close(const std::vector<int>& files) {
  for (int file : files) close(file);
}

void Blocked::Exit(int code) { _exit(code); }

}  // namespace appendfs::fuse
