#pragma once

#include <rocksdb/file_system.h>

#include <memory>

namespace appendfs {

// RocksDB's own file system, in which write-ahead logs (*.log) lie in space
// made ahead of them (log_file.h), and are read up to where they end
// (log_end.h). RocksDB alone would take a write torn there for damage, and
// skip a block that was wiped out as if it had never been. Its recycling of
// logs is not for us: it cannot tell a damaged record from an old one, and is
// off in the recovery mode that refuses damage.
std::shared_ptr<rocksdb::FileSystem> MakeLogsFileSystem();

}  // namespace appendfs
