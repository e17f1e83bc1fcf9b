#pragma once

#include <string>
#include <vector>

#include "cli/cluster/layout.h"
#include "common/status.h"

namespace appendfs::cli {

// Finds a server program beside this one: in ../sbin of an installed tree, in
// the same directory, or in a build tree. Error: NO_ENTRY, naming the places.
absl::StatusOr<std::string> FindProgram(const std::string& name);
// The same from a given directory of this program; for tests.
absl::StatusOr<std::string> FindProgramFrom(const std::string& own_directory,
                                            const std::string& name);

// The command line of a process of the cluster. `master` is the master's
// host:port.
absl::StatusOr<std::vector<std::string>> CommandLine(const ClusterProcess& process,
                                                     const std::string& master);

}  // namespace appendfs::cli
