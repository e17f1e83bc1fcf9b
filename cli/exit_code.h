#pragma once

#include "common/status.h"

namespace appendfs::cli {

// What `appendfs` exits with; documented in appendfs(1), so that scripts can
// tell "try again" from "never".
enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,       // any other reason: disk errors, damaged data, a bug
  kUsage = 2,        // wrong command line or configuration
  kNotFound = 3,     // no such file, directory or process name
  kRefused = 4,      // the namespace's state or rules forbid it
  kUnavailable = 5,  // the cluster is away or did not answer in time: try again
  kInDoubt = 6,      // an append may be in the file (once) or not
  kUnhealthy = 7,    // status verbs: asked and answered, but not all is well
};

ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace appendfs::cli
