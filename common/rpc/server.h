#pragma once

#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/status.h"

namespace appendfs {

// A gRPC server. Health checking and reflection are served too.
class RpcServer {
 public:
  // `listen` is host:port; port 0 takes a free one. The services outlive the
  // server. Error: INPUT_OUTPUT names the address ("already in use?").
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const std::string& listen, const std::vector<grpc::Service*>& services);
  // Without an address of its own: it serves the connections it is given.
  static absl::StatusOr<std::unique_ptr<RpcServer>> StartPortless(
      const std::vector<grpc::Service*>& services);
  ~RpcServer();  // as Shutdown with no patience

  int port() const { return port_; }
  // Takes over an accepted connection, a descriptor that does not block. Thread-safe.
  void Adopt(int descriptor);
  // Ends new calls at once and running ones after `patience`.
  void Shutdown(Duration patience);

 private:
  RpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  absl::Mutex adopting_;
  bool adopts_ ABSL_GUARDED_BY(adopting_) = true;
};

}  // namespace appendfs
