#include <algorithm>

#include "cli/cluster/cluster.h"
#include "cli/cluster/mounts.h"
#include "cli/cluster/ports.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr int kDefaultChunkservers = 3;
constexpr int kPortStep = 10;

std::string Address(int port) { return StrCat("127.0.0.1:", port); }

int PortOf(const ClusterProcess& process) {
  return std::atoi(process.address.c_str() + process.address.rfind(':') + 1);
}

absl::Status AddServers(ClusterLayout& layout, const std::string& dir, int chunkservers,
                        const StartOptions& options) {
  const bool fresh = layout.processes.empty();
  const int have = layout.Count("chunkserver");
  int first = options.port;
  if (!fresh) {
    // New servers go behind the highest port that is in use here.
    for (const ClusterProcess& process : layout.processes)
      if (process.role != "mount") first = std::max(first, PortOf(process) + kPortStep);
  }
  APPENDFS_ASSIGN_OR_RETURN(
      std::vector<int> ports,
      ChoosePorts(options.port == 0 ? 0 : first, chunkservers - have + (fresh ? 1 : 0)));
  auto port = ports.begin();
  if (fresh) {
    ClusterProcess master{.name = "master",
                          .role = "master",
                          .address = Address(*port++),
                          .data_dir = dir + "/master"};
    if (options.chunk_bytes) master.options = {"--chunk-bytes", StrCat(*options.chunk_bytes)};
    layout.processes.push_back(std::move(master));
  }
  for (int i = have + 1; i <= chunkservers; ++i) {
    std::string name = StrCat("cs", i);
    ClusterProcess server{.name = name,
                          .role = "chunkserver",
                          .address = Address(*port++),
                          .data_dir = dir + "/" + name};
    for (int disk = 2; disk <= options.disks; ++disk)
      server.options.insert(server.options.end(),
                            {"--data-dir", StrCat(server.data_dir, ".disk", disk)});
    layout.processes.push_back(std::move(server));
  }
  return absl::OkStatus();
}

absl::Status AddMounts(ClusterLayout& layout, const StartOptions& options) {
  for (const std::string& wanted : options.mounts) {
    auto known = [&](const std::string& path) {
      return std::any_of(layout.processes.begin(), layout.processes.end(),
                         [&](const ClusterProcess& process) {
                           return process.role == "mount" && process.data_dir == path;
                         });
    };
    if (known(AbsolutePath(wanted))) continue;
    APPENDFS_ASSIGN_OR_RETURN(std::string path, PrepareMountPoint(wanted));
    ClusterProcess mount{.name = StrCat("mount", layout.Count("mount") + 1),
                         .role = "mount",
                         .data_dir = std::move(path)};
    if (!options.mount_options.empty()) mount.options = {"-o", options.mount_options};
    layout.processes.push_back(std::move(mount));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClusterLayout> PlanCluster(ClusterLayout existing, const std::string& dir,
                                          const StartOptions& options) {
  const int have = existing.Count("chunkserver");
  const int wanted = options.chunkservers.value_or(have > 0 ? have : kDefaultChunkservers);
  if (wanted < have)
    return MakeError(v1::INVALID, StrCat(dir, ": has ", have, " chunkservers, and their data; ",
                                         "start it with --chunkservers ", have, " or more"));
  if (wanted < 1) return MakeError(v1::INVALID, "a cluster has at least one chunkserver");
  if (options.chunk_bytes && !existing.processes.empty())
    return MakeError(v1::INVALID, StrCat(dir,
                                         ": the size of chunks is chosen when a cluster is "
                                         "made; leave --chunk-bytes out"));
  APPENDFS_RETURN_IF_ERROR(AddServers(existing, dir, wanted, options));
  APPENDFS_RETURN_IF_ERROR(AddMounts(existing, options));
  return existing;
}

}  // namespace appendfs::cli
