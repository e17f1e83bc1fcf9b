#include "fuse/mount_process.h"

#include <glog/logging.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "common/service_manager.h"
#include "common/str_cat.h"
#include "fuse/control_service.h"
#include "fuse/mount_state.h"
#include "fuse/session.h"

namespace appendfs::fuse {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "mount.appendfs: %s\n", std::string(status.message()).c_str());
  if (!FLAGS_logtostderr) LOG(ERROR) << status.message();
  return kExitMountFailed;
}

ClientOptions ToClientOptions(const MountOptions& options) {
  ClientOptions result;
  result.keep_names = true;
  result.master = options.master;
  result.cluster_uuid = options.cluster_uuid;
  result.description = StrCat("mount ", options.mountpoint);
  result.timeout = options.timeout;
  result.connect_timeout = options.connect_timeout;
  if (options.queue_bytes) result.queue_bytes = *options.queue_bytes;
  if (options.readahead_bytes) result.readahead_bytes = *options.readahead_bytes;
  return result;
}

absl::StatusOr<InodeId> FindRoot(Client& client, const MountOptions& options) {
  if (options.subdirectory == "/") return kRootInode;
  const absl::StatusOr<FileStatus> status = client.Resolve(options.subdirectory);
  if (!status.ok())
    return MakeError(ReasonOf(status.status()), StrCat("cannot mount ", options.source, ": ",
                                                       FromAbsl(status.status().message())));
  if (status->type != v1::DIRECTORY)
    return MakeError(v1::NOT_DIRECTORY, StrCat("cannot mount ", options.source, ": ",
                                               options.subdirectory, " is not a directory"));
  return status->inode;
}

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// Ends the mount when the process is asked to end: at the first signal what
// holds threads is let go and what is queued is flushed, at the second that is
// given up, too.
class SignalWatcher {
 public:
  SignalWatcher(MountState& state, Session& session)
      : state_(state), session_(session), thread_([this] { Watch(); }) {}
  ~SignalWatcher() {
    done_ = true;
    thread_.join();
  }

 private:
  void Watch() {
    const sigset_t signals = StopSignals();
    const timespec pause = {.tv_sec = 0, .tv_nsec = 100'000'000};
    while (!done_) {
      const int signal = sigtimedwait(&signals, nullptr, &pause);
      if (signal < 0) continue;
      const absl::Status why = WithErrnoOf(
          v1::INPUT_OUTPUT, MakeError(v1::INTERRUPTED, "the mount's daemon was told to end"));
      if (!state_.leaving.exchange(true)) {
        LOG(INFO) << "signal " << signal << ": flushing and unmounting";
        TellServiceManager("STOPPING=1");
        state_.calls->Interrupt(why, Calls::Which::kOnThread);
        session_.Stop();
      } else {
        LOG(WARNING) << "signal " << signal << " again: giving up what is queued";
        state_.client.GiveUpAppends(why);
      }
    }
  }

  MountState& state_;
  Session& session_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace

absl::Status ResolveMountpoint(MountOptions& options) {
  struct stat status = {};
  if (stat(options.mountpoint.c_str(), &status) != 0) {
    const int error = errno;
    if (error == ENOTCONN)
      return MakeError(v1::INVALID,
                       StrCat("mount point ", options.mountpoint,
                              ": a mount whose daemon died is in the way (appendfs umount ",
                              options.mountpoint, ")"));
    return ErrnoError("mount point", options.mountpoint, error);
  }
  if (!S_ISDIR(status.st_mode))
    return MakeError(v1::NOT_DIRECTORY,
                     StrCat("mount point ", options.mountpoint, " is not a directory"));
  char path[PATH_MAX];
  if (realpath(options.mountpoint.c_str(), path) == nullptr)
    return ErrnoError("mount point", options.mountpoint, errno);
  options.mountpoint = path;
  return absl::OkStatus();
}

int RunMount(const MountOptions& options, const Connector& connect,
             const std::function<void()>& ready) {
  absl::StatusOr<std::unique_ptr<Client>> client = connect(ToClientOptions(options));
  if (!client.ok()) return Fail(client.status());
  const absl::StatusOr<InodeId> root = FindRoot(**client, options);
  if (!root.ok()) return Fail(root.status());

  std::unique_ptr<Session> session;  // outlives the client: late answers are still replied to
  int code = kExitDone;
  {
    MountState state(**client, options, *root);
    state.on_serving = [&] {
      ready();
      LOG(INFO) << "mounted " << options.source << " on " << options.mountpoint
                << " client=" << (*client)->id();
    };
    absl::StatusOr<std::unique_ptr<Session>> mounted = Session::Mount(state);
    if (!mounted.ok()) return Fail(mounted.status());
    session = *std::move(mounted);
    absl::StatusOr<std::unique_ptr<ControlServer>> control = ControlServer::Start(state);
    if (!control.ok())
      LOG(WARNING) << "no control socket, appendfs mount-stats and abort will not work: "
                   << control.status().message();
    absl::Status served;
    {
      SignalWatcher watcher(state, *session);
      served = session->Serve();
      state.leaving = true;
      if (!state.FlushAll(options.timeout + std::chrono::seconds(1)))
        LOG(ERROR) << "left with appends that could not be made durable";
    }
    state.lending.Stop();
    session->Unmount();
    if (!served.ok()) code = Fail(served);
    LOG(INFO) << "unmounted " << options.mountpoint;
  }
  client->reset();
  return code;
}

}  // namespace appendfs::fuse
