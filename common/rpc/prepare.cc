#include "common/rpc/prepare.h"

#include <glog/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <mutex>

namespace appendfs {

void PrepareGrpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function([](gpr_log_func_args* entry) {
      VLOG(1) << "grpc " << entry->file << ":" << entry->line << ": " << entry->message;
    });
    grpc_init();  // never undone
  });
}

}  // namespace appendfs
