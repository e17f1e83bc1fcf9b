#pragma once

#include <vector>

#include "cli/context.h"
#include "cli/local_mounts.h"

namespace appendfs::cli {

// mounts, mount-stats, abort, umount: the mounts of this machine.
void AddMountVerbs(CLI::App& app, Context& context);

// All mounts, a line each. kUnhealthy if one does not serve.
ExitCode PrintMounts(const std::vector<MountReport>& mounts, Output& output);
// One mount's numbers; as JSON on one line if there will be more.
void PrintMountStats(const v1::GetMountStatsResponse& stats, bool one_line, Output& output);

}  // namespace appendfs::cli
