#include "master/rocksdb_env.h"

namespace appendfs {

rocksdb::Env* TablesEnv() { return rocksdb::Env::Default(); }

}  // namespace appendfs
