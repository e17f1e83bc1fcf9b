#include "cli/cluster/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "cli/admin_client.h"
#include "cli/cluster/mounts.h"
#include "cli/cluster/programs.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kAskMaster{2};
constexpr std::chrono::seconds kKillWait{10};
// A mount flushes within its own timeout (30 s) first.
constexpr std::chrono::seconds kUnmountWait{45};
constexpr std::chrono::seconds kStopWait{20};
constexpr int kLogLines = 15;

ProcessIdentity Identity(const ClusterProcess& process) {
  return {process.pid, process.start_time};
}

bool Gone(const ClusterProcess& process) {
  return StateOf(Identity(process)) == ProcessState::kGone;
}

std::string StateName(const ClusterProcess& process) {
  if (process.pid == 0) return "stopped";
  switch (StateOf(Identity(process))) {
    case ProcessState::kGone: return "dead";
    case ProcessState::kPaused: return "paused";
    case ProcessState::kRunning: break;
  }
  if (process.role == "mount" && !IsFuseMounted(process.data_dir)) return "unmounted";
  return "running";
}

}  // namespace

absl::StatusOr<std::vector<ProcessReport>> ReportCluster(const std::string& dir) {
  APPENDFS_ASSIGN_OR_RETURN(ClusterLayout layout, LoadLayout(dir));
  std::vector<ProcessReport> reports;
  for (ClusterProcess& process : layout.processes) {
    std::string state = StateName(process);
    reports.push_back({std::move(process), std::move(state)});
  }
  return reports;
}

absl::StatusOr<Cluster> Cluster::Lock(const std::string& dir, bool create,
                                      std::chrono::milliseconds wait) {
  std::error_code error;
  if (create) std::filesystem::create_directories(dir + "/log", error);
  if (error) return ErrnoError("make directory", dir + "/log", error.value());
  std::string absolute = std::filesystem::canonical(dir, error).string();
  if (error) return ErrnoError("open", dir, error.value());
  absl::StatusOr<ClusterLayout> layout = LoadLayout(absolute);
  if (!layout.ok() && !(create && HasReason(layout.status(), v1::NO_ENTRY))) return layout.status();

  std::string lock = absolute + "/cluster.lock";
  int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError("open", lock, errno);
  Cluster cluster(absolute, fd, wait);
  if (!WaitUntil([&] { return flock(fd, LOCK_EX | LOCK_NB) == 0; }, wait))
    return MakeError(v1::NOT_READY, StrCat(lock,
                                           ": another cluster command is at work here; wait "
                                           "for it to end"));
  // Read again: the command that held the lock may have changed it.
  layout = LoadLayout(absolute);
  if (layout.ok()) cluster.layout_ = *std::move(layout);
  return cluster;
}

Cluster::Cluster(Cluster&& other) noexcept
    : dir_(other.dir_),
      wait_(other.wait_),
      lock_fd_(std::exchange(other.lock_fd_, -1)),
      layout_(std::move(other.layout_)) {}

Cluster::~Cluster() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

const std::string& Cluster::MasterAddress() const { return layout_.Find("master")->address; }

absl::StatusOr<ClusterProcess*> Cluster::FindProcess(std::string_view name) {
  ClusterProcess* process = layout_.Find(name);
  if (process) return process;
  return MakeError(v1::NO_ENTRY,
                   StrCat(name, ": no such process in ", dir_, "; it has ", layout_.Names()));
}

absl::Status Cluster::Start(const StartOptions& options) {
  APPENDFS_ASSIGN_OR_RETURN(layout_, PlanCluster(std::move(layout_), dir_, options));
  if (!layout_.Find("master"))
    return MakeError(v1::INVALID, StrCat(LayoutPath(dir_), ": has no master"));
  APPENDFS_RETURN_IF_ERROR(Save());
  std::vector<std::string> started;
  absl::Status status;
  for (std::string_view role : {"master", "chunkserver", "mount"}) {
    status = StartRole(role, started);
    if (!status.ok()) break;
  }
  if (!status.ok()) {
    std::vector<ClusterProcess*> undo;
    for (const std::string& name : started) undo.push_back(layout_.Find(name));
    StopAll(undo).IgnoreError();  // the first failure is the one to tell
  }
  APPENDFS_RETURN_IF_ERROR(Save());
  return status;
}

absl::Status Cluster::StartRole(std::string_view role, std::vector<std::string>& started) {
  Clock::time_point launched = Clock::now();
  std::vector<const ClusterProcess*> waiting;
  for (ClusterProcess& process : layout_.processes) {
    if (process.role != role || !Gone(process)) continue;
    started.push_back(process.name);
    APPENDFS_RETURN_IF_ERROR(Launch(process));
    waiting.push_back(&process);
  }
  for (const ClusterProcess* process : waiting)
    APPENDFS_RETURN_IF_ERROR(WaitReady(*process, launched));
  return absl::OkStatus();
}

absl::Status Cluster::Launch(ClusterProcess& process) {
  // Servers make their own data directories.
  if (process.role == "mount")
    APPENDFS_RETURN_IF_ERROR(PrepareMountPoint(process.data_dir).status());
  APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> line, CommandLine(process, MasterAddress()));
  APPENDFS_ASSIGN_OR_RETURN(ProcessIdentity identity, Spawn(line, LogPath(dir_, process.name)));
  process.pid = identity.pid;
  process.start_time = identity.start_time;
  // At once: should this command die, the process must still be found.
  return Save();
}

bool Cluster::IsReady(const ClusterProcess& process, Clock::time_point launched) {
  if (process.role == "mount") return IsFuseMounted(process.data_dir);
  AdminClient admin(MasterAddress(), kAskMaster);
  if (process.role == "master") return admin.GetStatus().ok();
  absl::StatusOr<v1::ListServersResponse> servers = admin.ListServers();
  if (!servers.ok()) return false;
  auto age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - launched);
  for (const v1::ServerInfo& server : servers->servers())
    // An older heartbeat is its predecessor's.
    if (server.address() == process.address && server.alive() &&
        server.heartbeat_age_ms() < static_cast<uint64_t>(age.count()))
      return true;
  return false;
}

absl::Status Cluster::WaitReady(const ClusterProcess& process, Clock::time_point launched) {
  const ClusterProcess& master = *layout_.Find("master");
  bool gone = false;
  bool ready = WaitUntil(
      [&] {
        gone = Gone(process);
        // Without a master nobody can say whether a chunkserver is well.
        if (process.role == "chunkserver" && Gone(master)) return true;
        return gone || IsReady(process, launched);
      },
      wait_);
  if (ready && !gone) return absl::OkStatus();
  std::string log = LogPath(dir_, process.name);
  std::string what = gone ? std::string("ended") : StrCat("not ready after ", wait_.count(), " ms");
  std::string tail = TailOfFile(log, kLogLines);
  return MakeError(gone ? v1::INPUT_OUTPUT : v1::TIMED_OUT,
                   StrCat(process.name, ": ", what, "; see ", log,
                          tail.empty() ? "" : ", which ends with:\n", tail));
}

absl::Status Cluster::StopAll(const std::vector<ClusterProcess*>& processes) {
  std::string left;
  for (std::string_view role : {"mount", "chunkserver", "master"}) {
    std::vector<ClusterProcess*> stopping;
    for (ClusterProcess* process : processes)
      if (process->role == role) stopping.push_back(process);
    for (ClusterProcess* process : stopping) {
      SendSignal(Identity(*process), SIGTERM).IgnoreError();  // gone already is fine
      SendSignal(Identity(*process), SIGCONT).IgnoreError();
    }
    auto all_gone = [&] {
      for (ClusterProcess* process : stopping)
        if (!Gone(*process)) return false;
      return true;
    };
    if (!WaitUntil(all_gone, role == "mount" ? kUnmountWait : kStopWait)) {
      for (ClusterProcess* process : stopping)
        SendSignal(Identity(*process), SIGKILL).IgnoreError();
      WaitUntil(all_gone, kKillWait);
    }
    for (ClusterProcess* process : stopping) {
      bool unmounted = role != "mount" || ForceUnmount(process->data_dir).ok();
      if (Gone(*process)) process->pid = 0, process->start_time = 0;
      if (process->pid != 0 || !unmounted) left += " " + process->name;
    }
  }
  if (left.empty()) return absl::OkStatus();
  return MakeError(v1::TIMED_OUT, StrCat(dir_, ": could not be stopped:", left));
}

absl::Status Cluster::Stop() {
  std::vector<ClusterProcess*> all;
  for (ClusterProcess& process : layout_.processes) all.push_back(&process);
  absl::Status status = StopAll(all);
  APPENDFS_RETURN_IF_ERROR(Save());
  return status;
}

absl::Status Cluster::Signal(std::string_view name, int signal_number) {
  APPENDFS_ASSIGN_OR_RETURN(ClusterProcess * process, FindProcess(name));
  if (Gone(*process))
    return MakeError(v1::NO_ENTRY, StrCat(name,
                                          ": does not run; start it with: appendfs cluster "
                                          "restart ",
                                          name, " --dir ", dir_));
  APPENDFS_RETURN_IF_ERROR(SendSignal(Identity(*process), signal_number));
  if (signal_number == SIGKILL && !WaitUntil([&] { return Gone(*process); }, kKillWait))
    return MakeError(v1::TIMED_OUT, StrCat(name, ": still there after SIGKILL"));
  return absl::OkStatus();
}

absl::Status Cluster::Restart(std::string_view name) {
  APPENDFS_ASSIGN_OR_RETURN(ClusterProcess * process, FindProcess(name));
  APPENDFS_RETURN_IF_ERROR(StopAll({process}));
  Clock::time_point launched = Clock::now();
  APPENDFS_RETURN_IF_ERROR(Launch(*process));
  return WaitReady(*process, launched);
}

}  // namespace appendfs::cli
