#pragma once

#include <string_view>

#include "cli/cluster/cluster.h"
#include "cli/context.h"

namespace appendfs::cli {

// cluster start, stop, status, kill, restart: a whole cluster on this machine.
void AddClusterVerbs(CLI::App& app, Context& context);

// "KILL", "SIGTERM" or a number. Error: INVALID.
absl::StatusOr<int> ParseSignal(std::string_view text);

// kUnhealthy unless everything runs.
ExitCode PrintCluster(const std::string& dir, const std::vector<ProcessReport>& reports,
                      Output& output);

}  // namespace appendfs::cli
