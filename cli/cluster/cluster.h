#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cluster/layout.h"
#include "cli/cluster/process.h"

namespace appendfs::cli {

struct StartOptions {
  std::optional<int> chunkservers;      // default: 3, or what the directory has
  int disks = 1;                        // data directories of each new chunkserver
  std::vector<std::string> mounts;      // mount points, besides those it has
  std::string mount_options;            // for -o of the new ones
  int port = 9400;                      // first port of a new cluster; 0: any free ones
  std::optional<uint64_t> chunk_bytes;  // of a new cluster's chunks
};

struct ProcessReport {
  ClusterProcess process;
  std::string state;  // running, paused, dead (it was not stopped), stopped, unmounted
};

// The layout `options` ask for, from what is there (nothing on a new cluster).
// Ports of new processes are chosen here. Errors: INVALID (fewer chunkservers
// than there are), those of ChoosePorts and PrepareMountPoint.
absl::StatusOr<ClusterLayout> PlanCluster(ClusterLayout existing, const std::string& dir,
                                          const StartOptions& options);

// What runs in `dir`. Needs no lock. Error: NO_ENTRY.
absl::StatusOr<std::vector<ProcessReport>> ReportCluster(const std::string& dir);

// Changes what runs in one directory. Holds DIR/cluster.lock while it lives;
// used from one thread. Every wait is bounded.
class Cluster {
 public:
  // Error: NOT_READY if another command holds the lock; NO_ENTRY unless
  // `create`.
  static absl::StatusOr<Cluster> Lock(const std::string& dir, bool create,
                                      std::chrono::milliseconds wait);
  Cluster(Cluster&& other) noexcept;
  ~Cluster();

  // Starts what does not run, and waits until the master serves, every
  // chunkserver is alive at the master and every mount is mounted. If that
  // fails, what this call started is stopped again; the error says which
  // process failed and ends with its log's last lines.
  absl::Status Start(const StartOptions& options);
  // Unmounts, then stops chunkservers, then the master; kills what does not
  // react. All of it is gone afterwards, or an error names what is not.
  absl::Status Stop();
  // Sends a signal; for SIGKILL, waits until the process is gone.
  absl::Status Signal(std::string_view name, int signal_number);
  // Stops one process, if it runs, and starts it again as Start does.
  absl::Status Restart(std::string_view name);

  const std::string& dir() const { return dir_; }

 private:
  Cluster(std::string dir, int lock_fd, std::chrono::milliseconds wait)
      : dir_(std::move(dir)), wait_(wait), lock_fd_(lock_fd) {}

  absl::Status StartRole(std::string_view role, std::vector<std::string>& started);
  absl::Status Launch(ClusterProcess& process);
  absl::Status WaitReady(const ClusterProcess& process,
                         std::chrono::steady_clock::time_point launched);
  bool IsReady(const ClusterProcess& process, std::chrono::steady_clock::time_point launched);
  absl::Status StopAll(const std::vector<ClusterProcess*>& processes);
  absl::StatusOr<ClusterProcess*> FindProcess(std::string_view name);
  const std::string& MasterAddress() const;
  absl::Status Save() { return SaveLayout(dir_, layout_); }

  const std::string dir_;
  const std::chrono::milliseconds wait_;  // for one process to become ready
  int lock_fd_;
  ClusterLayout layout_;
};

}  // namespace appendfs::cli
