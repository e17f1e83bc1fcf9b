#pragma once

#include <functional>
#include <vector>

#include "common/status.h"

namespace appendfs::cli {

inline constexpr int kMasterPort = 9400;

// Can a server listen on 127.0.0.1:port now?
bool PortIsFree(int port);

// Ports for the master and `chunkservers` servers. From `first` on in steps of
// ten (9400, 9410, 9420, ...) where they are free; `first` 0, or a port that
// is taken, gives any free one. All are different. Error: INPUT_OUTPUT.
absl::StatusOr<std::vector<int>> ChoosePorts(int first, int count);

}  // namespace appendfs::cli
