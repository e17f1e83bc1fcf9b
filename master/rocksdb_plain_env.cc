#include "master/rocksdb_env.h"
#include "master/rocksdb_logs.h"

namespace appendfs {

rocksdb::Env* TablesEnv() {
  static rocksdb::Env* const kEnv = rocksdb::NewCompositeEnv(MakeLogsFileSystem()).release();
  return kEnv;
}

}  // namespace appendfs
