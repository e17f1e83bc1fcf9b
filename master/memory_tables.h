#pragma once

#include <memory>

#include "master/durable_tables.h"
#include "master/group_meta_log.h"

namespace appendfs {

// Tables that live as long as the process: for tests.
std::unique_ptr<DurableTables> MakeMemoryTables();

// OpenMetaLog over them.
absl::StatusOr<OpenedMetaLog> OpenMemoryMetaLog(MetaStateMachine& machine, const Clock& clock,
                                                const MetaLogOptions& options = {});

}  // namespace appendfs
