#pragma once

#include <memory>
#include <string>

#include "common/status.h"
#include "master/durable_tables.h"

namespace appendfs {

// Opens or makes the tables in `directory` (master/layout.h). Only one process
// at a time can have them open. Errors: INPUT_OUTPUT, VERSION_MISMATCH (there
// are tables this program does not know); both name the directory.
absl::StatusOr<std::unique_ptr<DurableTables>> OpenRocksDbTables(const std::string& directory);

}  // namespace appendfs
