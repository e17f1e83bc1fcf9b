#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace appendfs::cli {

// A whole cluster on one machine lives below one directory:
//
//   DIR/cluster.json   what runs here (below), replaced atomically
//   DIR/cluster.lock   held by the command that changes it
//   DIR/master/        the master's data
//   DIR/cs1/ ...       one data directory per chunkserver, and more of them,
//                      DIR/cs1.disk2/ ..., if that was asked for
//   DIR/log/NAME.log   standard output and error of every process
//
// cluster.json: {"format": 1, "processes": [{"name": "master", "role":
// "master", "address": "127.0.0.1:9400", "data_dir": "/d/master", "options":
// [...], "pid": 71, "start_time": 8123}, ...]}. Ports are chosen once and kept.

// A process of the cluster. Its pid alone does not name it, since pids are
// recycled: the start time (clock ticks since boot, /proc/PID/stat) must match.
struct ClusterProcess {
  std::string name;                  // master, cs1 ..., mount1 ...
  std::string role;                  // master, chunkserver or mount
  std::string address;               // host:port it listens on; empty for a mount
  std::string data_dir;              // of a mount: the mount point
  std::vector<std::string> options;  // extra arguments it is started with
  int pid = 0;                       // 0: stopped on purpose, or never started
  uint64_t start_time = 0;
};

struct ClusterLayout {
  std::vector<ClusterProcess> processes;  // in the order they are started

  const ClusterProcess* Find(std::string_view name) const;
  ClusterProcess* Find(std::string_view name);
  // "master, cs1, cs2, cs3, mount1"
  std::string Names() const;
  // How many processes have this role.
  int Count(std::string_view role) const;
};

std::string LayoutPath(const std::string& dir);
std::string LogPath(const std::string& dir, std::string_view name);

std::string ToText(const ClusterLayout& layout);
// Error: INVALID, naming `path` and what is wrong.
absl::StatusOr<ClusterLayout> ParseLayout(std::string_view text, const std::string& path);

// Error: NO_ENTRY if there is no cluster in `dir`.
absl::StatusOr<ClusterLayout> LoadLayout(const std::string& dir);
absl::Status SaveLayout(const std::string& dir, const ClusterLayout& layout);

}  // namespace appendfs::cli
