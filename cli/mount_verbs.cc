#include "cli/mount_verbs.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <thread>
#include <utility>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/mount_client.h"
#include "cli/parse.h"
#include "common/descriptor.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

using std::chrono::milliseconds;

// A daemon that lives answers at once.
constexpr milliseconds kPatience{3000};
// A daemon flushes until its own --timeout is over.
constexpr milliseconds kLeaving{35000};

absl::Status NotServed(const MountReport& report) {
  const std::string& mountpoint = report.mount.mountpoint;
  if (report.state == MountState::kDead)
    return MakeError(v1::UNREACHABLE, StrCat(mountpoint, ": its daemon is gone; `appendfs umount ",
                                             mountpoint, "` takes the mount away"));
  return MakeError(ReasonOf(report.why),
                   StrCat(mountpoint, ": its daemon does not answer (",
                          FromAbsl(report.why.message()), "); is it yours, or are you root?"));
}

absl::StatusOr<v1::GetMountStatsResponse> AskStats(const MountEntry& mount) {
  MountReport report = ReportMount(mount, kPatience);
  if (report.stats) return *std::move(report.stats);
  return NotServed(report);
}

struct StatsArguments {
  std::string mountpoint, interval = "1s";
  bool watch = false;
};

absl::Status ShowStats(const StatsArguments& arguments, Output output) {
  APPENDFS_ASSIGN_OR_RETURN(const MountEntry mount, FindMountAt(arguments.mountpoint));
  APPENDFS_ASSIGN_OR_RETURN(const milliseconds interval, ParseDuration(arguments.interval));
  while (true) {
    APPENDFS_ASSIGN_OR_RETURN(const v1::GetMountStatsResponse stats, AskStats(mount));
    PrintMountStats(stats, arguments.watch, output);
    if (arguments.watch && !output.json) output.out << "\n";
    output.out.flush();
    if (!arguments.watch || !output.out) return absl::OkStatus();
    std::this_thread::sleep_for(interval);
  }
}

absl::Status Abort(const std::string& path, Output output) {
  APPENDFS_ASSIGN_OR_RETURN(const MountEntry mount, FindMountAt(path));
  const absl::StatusOr<v1::AbortMountResponse> freed =
      MountClient(SocketOf(mount), kPatience).Abort();
  if (!freed.ok()) {
    MountReport report{.mount = mount, .why = freed.status()};
    if (IsDead(mount.mountpoint, kPatience)) report.state = MountState::kDead;
    return NotServed(report);
  }
  if (output.json) {
    output.out << ToPrettyText({{"calls", freed->calls()},
                                {"files", freed->files()},
                                {"records", freed->records()},
                                {"bytes", freed->bytes()}})
               << "\n";
  } else {
    output.out << mount.mountpoint << ": let go of " << freed->calls() << " requests; gave up "
               << freed->records() << " records (" << HumanBytes(freed->bytes()) << ") of "
               << freed->files() << " files\n";
  }
  return absl::OkStatus();
}

// Whether the process has gone within `patience`.
bool AwaitEnd(const Descriptor& process, milliseconds patience) {
  pollfd end = {.fd = process.get(), .events = POLLIN, .revents = 0};
  return poll(&end, 1, static_cast<int>(patience.count())) == 1;
}

absl::Status Unmount(const std::string& path, bool lazy, Output output) {
  APPENDFS_ASSIGN_OR_RETURN(const MountEntry mount, FindMountAt(path));
  const MountReport report = ReportMount(mount, kPatience);
  const std::string& mountpoint = mount.mountpoint;
  if (report.state == MountState::kDead) {
    APPENDFS_RETURN_IF_ERROR(Detach(mountpoint, /*lazy=*/true));
    unlink(SocketOf(mount).c_str());
    output.out << mountpoint << ": its daemon was gone; the mount is taken away\n";
    return absl::OkStatus();
  }
  // Before it can go, so that its number is not somebody else's by then.
  const Descriptor daemon(
      report.stats ? static_cast<int>(syscall(SYS_pidfd_open, report.stats->pid(), 0)) : -1);
  APPENDFS_RETURN_IF_ERROR(Detach(mountpoint, lazy));
  if (lazy || daemon.get() < 0 || AwaitEnd(daemon, kLeaving)) return absl::OkStatus();
  return MakeError(v1::TIMED_OUT,
                   StrCat(mountpoint, ": unmounted, but its daemon, pid ", report.stats->pid(),
                          ", still tries to make durable what was written; kill it to give up"));
}

}  // namespace

void AddMountVerbs(CLI::App& app, Context& context) {
  AddVerb(app, context, "mounts", "List the mounts of this machine, dead ones too", [&context] {
    absl::StatusOr<std::vector<MountReport>> mounts = ReportMounts(kPatience);
    if (!mounts.ok()) return context.Report(mounts.status());
    Output output = context.Stdout();
    const ExitCode code = PrintMounts(*mounts, output);
    output.out.flush();
    return code;
  });

  auto stats = std::make_shared<StatsArguments>();
  CLI::App* verb =
      AddVerb(app, context, "mount-stats", "Show what a mount does and waits for",
              [&context, stats] { return context.Report(ShowStats(*stats, context.Stdout())); });
  verb->add_option("MOUNT", stats->mountpoint, "Where it is mounted")->required();
  verb->add_flag("--watch", stats->watch, "Again and again");
  verb->add_option("--interval", stats->interval, "How often: 1s, 500ms")->capture_default_str();

  auto stuck = std::make_shared<std::string>();
  verb = AddVerb(app, context, "abort",
                 "Let go of everything that waits in a mount, with an error; the mount lives on",
                 [&context, stuck] { return context.Report(Abort(*stuck, context.Stdout())); });
  verb->add_option("MOUNT", *stuck, "Where it is mounted")->required();

  struct UnmountArguments {
    std::string mountpoint;
    bool lazy = false;
  };
  auto unmount = std::make_shared<UnmountArguments>();
  verb = AddVerb(
      app, context, "umount",
      "Unmount, and wait until all is durable; also what a killed daemon left behind",
      [&context, unmount] {
        return context.Report(Unmount(unmount->mountpoint, unmount->lazy, context.Stdout()));
      });
  verb->add_option("MOUNT", unmount->mountpoint, "Where it is mounted")->required();
  verb->add_flag("--lazy", unmount->lazy, "Detach it now; it ends when nobody uses it any more");
}

}  // namespace appendfs::cli
