#pragma once

#include <rocksdb/env.h>

namespace appendfs {

// What the tables' files go through: RocksDB's own files, with logs in space
// made ahead (rocksdb_logs.h); in a build with -Dpower_loss=true above them one
// that keeps unsynced bytes in memory, so that killing the master loses them.
// Lives as long as the process.
rocksdb::Env* TablesEnv();

}  // namespace appendfs
