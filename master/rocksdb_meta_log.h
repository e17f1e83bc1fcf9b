#pragma once

#include <memory>
#include <string>

#include "common/status.h"
#include "master/group_meta_log.h"

namespace appendfs {

// The master's log in production: OpenMetaLog over the tables in `directory`,
// which is made if it is not there and is locked until the log is destroyed.
// Errors: those of OpenMetaLog; INPUT_OUTPUT names the directory.
absl::StatusOr<OpenedMetaLog> OpenRocksDbMetaLog(const std::string& directory,
                                                 MetaStateMachine& machine, const Clock& clock,
                                                 const MetaLogOptions& options = {});

}  // namespace appendfs
