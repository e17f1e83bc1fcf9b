#include "cli/local_mounts.h"

#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "cli/cluster/mounts.h"
#include "cli/mount_client.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

absl::Status Busy(const std::string& mountpoint) {
  return MakeError(v1::NOT_PERMITTED,
                   StrCat(mountpoint, ": in use; `fuser -vm ", mountpoint,
                          "` shows by whom, --lazy detaches it when they are done"));
}

absl::Status DetachByHelper(const std::string& mountpoint, bool lazy) {
  const char* const program = "fusermount3";
  const pid_t child = fork();
  if (child < 0) return ErrnoError("start", program, errno);
  if (child == 0) {
    execlp(program, program, "-u", lazy ? "-qz" : "-q", "--", mountpoint.c_str(),
           static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return MakeError(v1::ACCESS_DENIED, StrCat(mountpoint, ": only root may unmount it, or ",
                                               program, ", which is not installed"));
  return lazy ? MakeError(v1::ACCESS_DENIED,
                          StrCat(mountpoint, ": ", program, " was not allowed to unmount it"))
              : Busy(mountpoint);
}

}  // namespace

std::string_view StateName(MountState state) {
  switch (state) {
    case MountState::kServing: return "serving";
    case MountState::kSilent: return "silent";
    case MountState::kDead: return "dead";
  }
  return "unknown";
}

std::string SocketOf(const MountEntry& mount) {
  return ControlSocketOf(RunDirectory(mount.owner), mount);
}

bool IsDead(const std::string& mountpoint, std::chrono::milliseconds patience) {
  auto answer = std::make_shared<std::promise<bool>>();
  std::future<bool> dead = answer->get_future();
  // Left behind if the mount is stuck; it ends with this process.
  std::thread([answer, mountpoint] {
    struct statvfs status = {};
    answer->set_value(statvfs(mountpoint.c_str(), &status) != 0 && errno == ENOTCONN);
  }).detach();
  return dead.wait_for(patience) == std::future_status::ready && dead.get();
}

MountReport ReportMount(const MountEntry& mount, std::chrono::milliseconds patience) {
  MountReport report{.mount = mount};
  MountClient client(SocketOf(mount), patience);
  absl::StatusOr<v1::GetMountStatsResponse> stats = client.GetStats();
  if (stats.ok()) {
    report.state = MountState::kServing;
    report.stats = *std::move(stats);
    return report;
  }
  report.why = stats.status();
  if (IsDead(mount.mountpoint, patience)) report.state = MountState::kDead;
  return report;
}

absl::StatusOr<std::vector<MountReport>> ReportMounts(std::chrono::milliseconds patience) {
  APPENDFS_ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  std::vector<std::future<MountReport>> asked;
  for (const MountEntry& mount : table)
    asked.push_back(std::async(std::launch::async, ReportMount, mount, patience));
  std::vector<MountReport> reports;
  for (std::future<MountReport>& one : asked) reports.push_back(one.get());
  return reports;
}

absl::StatusOr<MountEntry> FindMountAt(const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  if (std::optional<MountEntry> mount = FindMount(table, AbsolutePath(path))) return *mount;
  return MakeError(v1::NO_ENTRY,
                   StrCat(path, ": no AppendFS mount; `appendfs mounts` lists those there are"));
}

absl::Status Detach(const std::string& mountpoint, bool lazy) {
  if (umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
    return absl::OkStatus();
  const int error = errno;
  if (error == EPERM) return DetachByHelper(mountpoint, lazy);
  if (error == EBUSY) return Busy(mountpoint);
  return ErrnoError("unmount", mountpoint, error);
}

}  // namespace appendfs::cli
