#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace appendfs::fuse {

// When write(2) returns: once the record is queued and on its way, or once it
// is durable on two servers.
enum class Ack { kBuffered, kCommit };

// What one mount is asked to do. Filled by ParseSource and ApplyOption(s) in
// any order; later options win.
struct MountOptions {
  std::string source;              // as given; shown by mount(8) and df(1)
  std::string master;              // host:port, several separated by commas
  std::string subdirectory = "/";  // of the namespace; becomes the mount's root
  std::string mountpoint;

  Ack ack = Ack::kBuffered;
  std::chrono::milliseconds timeout{30000};         // bound of every request
  std::chrono::milliseconds connect_timeout{5000};  // bound of the first connection
  // How long the kernel may believe names and attributes. Unset: what is lent to
  // it (fuse/lending.h), the names of directories one second, else not at all.
  std::optional<double> entry_timeout_seconds, attr_timeout_seconds;
  std::optional<uint64_t> queue_bytes, readahead_bytes;
  std::string cluster_uuid;         // refuse any other cluster; empty: take any
  std::optional<bool> allow_other;  // unset: on for root
  bool read_only = false;
  std::vector<std::string> kernel_options;  // "nosuid", "noatime" ...: mount(2)'s own

  bool foreground = false;
  bool debug = false;  // trace every request; implies foreground
};

// "host:port[/sub/dir]", "host" (port 9400) or "host1:9400,host2:9400/dir".
absl::Status ParseSource(std::string_view source, MountOptions& options);

// One mount option by its name ("ack", "commit"), and several as `-o` takes
// them ("ro,ack=commit,timeout=10s"). An unknown name, a missing or a bad
// value is INVALID and says what is allowed. What mount(8) and systemd keep
// for themselves ("_netdev", "nofail", "x-systemd...") is skipped.
absl::Status ApplyOption(std::string_view name, std::optional<std::string_view> value,
                         MountOptions& options);
absl::Status ApplyOptions(std::string_view list, MountOptions& options);

}  // namespace appendfs::fuse
