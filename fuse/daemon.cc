#include "fuse/daemon.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace appendfs::fuse {
namespace {

constexpr int kSystemError = 2;

class SyslogSink final : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char*, const char* file, int line,
            const google::LogMessageTime&, const char* message, size_t length) override {
    if (severity < google::GLOG_WARNING) return;
    syslog(severity == google::GLOG_WARNING ? LOG_WARNING : LOG_ERR, "%s:%d %.*s", file, line,
           static_cast<int>(length), message);
  }
};

// Nothing of the terminal or of the directory it was started in is kept busy.
void Detach() {
  static SyslogSink sink;
  openlog("mount.appendfs", LOG_PID, LOG_DAEMON);
  google::AddLogSink(&sink);
  if (chdir("/") != 0) PLOG(WARNING) << "chdir /";
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
  close(null);
}

int ExitCodeOf(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : kSystemError;
}

}  // namespace

int RunInBackground(const std::function<int(const std::function<void()>& ready)>& serve) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    std::perror("mount.appendfs: pipe");
    return kSystemError;
  }
  const pid_t child = fork();
  if (child < 0) {
    std::perror("mount.appendfs: fork");
    return kSystemError;
  }
  if (child == 0) {
    close(ends[0]);
    setsid();
    return serve([write_end = ends[1]] {
      Detach();
      [[maybe_unused]] const ssize_t told = write(write_end, "+", 1);
      close(write_end);
    });
  }
  close(ends[1]);
  char told = 0;
  ssize_t count;
  while ((count = read(ends[0], &told, 1)) < 0 && errno == EINTR) {
  }
  close(ends[0]);
  return count == 1 ? 0 : ExitCodeOf(child);
}

}  // namespace appendfs::fuse
