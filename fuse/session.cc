#include "fuse/session.h"

#include <glog/logging.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

#include "common/str_cat.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

// Requests that block a thread of ours: name and attribute calls, reads. What
// waits for a commit does not.
constexpr unsigned kLargestThreadCount = 256;
constexpr unsigned kIdleThreads = 16;

// libfuse splits options at commas.
std::string Escaped(const std::string& value) {
  std::string result;
  for (char c : value) {
    if (c == ',' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::vector<std::string> Arguments(const MountOptions& options) {
  std::string list = StrCat("default_permissions,subtype=appendfs,fsname=", Escaped(options.source),
                            options.read_only ? ",ro" : ",rw");
  // A shared directory that only its mounter may enter is of little use.
  if (options.allow_other.value_or(geteuid() == 0)) list += ",allow_other";
  for (const std::string& option : options.kernel_options) list += StrCat(",", option);
  std::vector<std::string> arguments = {"mount.appendfs", "-o", list};
  if (options.debug) arguments.push_back("-d");
  return arguments;
}

fuse_lowlevel_ops MakeOperations() {
  fuse_lowlevel_ops operations = {};
  AddNameOperations(operations);
  AddAttributeOperations(operations);
  AddXattrOperations(operations);
  AddFileOperations(operations);
  AddDataOperations(operations);
  AddLockOperations(operations);
  AddDirectoryOperations(operations);
  AddSystemOperations(operations);
  CountCalls(operations);
  return operations;
}

void LogLibfuse(enum fuse_log_level level, const char* format, va_list values) {
  char line[1024];
  int length = std::vsnprintf(line, sizeof(line), format, values);
  if (length <= 0) return;
  length = std::min<int>(length, sizeof(line) - 1);
  while (length > 0 && line[length - 1] == '\n') line[--length] = 0;
  if (level <= FUSE_LOG_ERR) {
    LOG(ERROR) << "libfuse: " << line;
  } else if (level <= FUSE_LOG_WARNING) {
    LOG(WARNING) << "libfuse: " << line;
  } else {
    LOG(INFO) << "libfuse: " << line;
  }
}

class LibfuseSession final : public Session {
 public:
  explicit LibfuseSession(fuse_session* session) : session_(session) {}
  ~LibfuseSession() override {
    Unmount();
    fuse_session_destroy(session_);
  }

  absl::Status Serve() override {
    serving_thread_ = pthread_self();
    fuse_loop_config* config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_max_threads(config, kLargestThreadCount);
    fuse_loop_cfg_set_idle_threads(config, kIdleThreads);
    fuse_loop_cfg_set_clone_fd(config, 0);
    serving_ = true;
    const int result = fuse_session_loop_mt(session_, config);
    serving_ = false;
    fuse_loop_cfg_destroy(config);
    if (result >= 0) return absl::OkStatus();
    return ErrnoError("serve", "the mount", -result);
  }

  void Stop() override {
    fuse_session_exit(session_);
    // The loop sleeps in a semaphore and looks up only when a signal wakes it;
    // one that comes just before it sleeps would be lost, so again.
    while (serving_) {
      pthread_kill(serving_thread_, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  void Unmount() override {
    if (mounted_.exchange(false)) fuse_session_unmount(session_);
  }

 private:
  fuse_session* const session_;
  std::atomic<bool> mounted_ = true;
  std::atomic<bool> serving_ = false;
  pthread_t serving_thread_ = {};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Mount(MountState& state) {
  const MountOptions& options = state.options;
  fuse_set_log_func(LogLibfuse);
  struct sigaction wake = {};
  wake.sa_handler = [](int) {};
  sigaction(SIGUSR1, &wake, nullptr);  // no SA_RESTART: it is to interrupt

  std::vector<std::string> arguments = Arguments(options);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(pointers.size()), pointers.data());
  const fuse_lowlevel_ops operations = MakeOperations();
  fuse_session* session = fuse_session_new(&args, &operations, sizeof(operations), &state);
  fuse_opt_free_args(&args);
  if (session == nullptr)
    return MakeError(v1::INVALID, "the mount options were refused (the log says which)");
  if (access("/dev/fuse", F_OK) != 0) {
    fuse_session_destroy(session);
    return MakeError(v1::INPUT_OUTPUT,
                     "/dev/fuse is missing: load the kernel module (modprobe fuse)");
  }
  errno = 0;
  if (fuse_session_mount(session, options.mountpoint.c_str()) != 0) {
    const int error = errno == 0 ? EPERM : errno;
    fuse_session_destroy(session);
    return ErrnoError("mount", options.mountpoint, error);
  }
  state.lending.Start({.forget_attributes =
                           [session](uint64_t node) {
                             return fuse_lowlevel_notify_inval_inode(session, node, /*off=*/-1,
                                                                     /*len=*/0);
                           },
                       .forget_name =
                           [session](uint64_t parent, const std::string& name) {
                             return fuse_lowlevel_notify_expire_entry(
                                 session, parent, name.data(), name.size(), FUSE_LL_EXPIRE_ONLY);
                           }});
  return std::make_unique<LibfuseSession>(session);
}

}  // namespace appendfs::fuse
