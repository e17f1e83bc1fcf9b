#include "master/rocksdb_meta_log.h"

#include <utility>

#include "master/rocksdb_tables.h"

namespace appendfs {

absl::StatusOr<OpenedMetaLog> OpenRocksDbMetaLog(const std::string& directory,
                                                 MetaStateMachine& machine, const Clock& clock,
                                                 const MetaLogOptions& options) {
  APPENDFS_ASSIGN_OR_RETURN(std::unique_ptr<DurableTables> tables, OpenRocksDbTables(directory));
  return OpenMetaLog(std::move(tables), machine, clock, options);
}

}  // namespace appendfs
