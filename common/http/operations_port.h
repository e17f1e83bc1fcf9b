#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"

namespace prometheus {
class Collectable;
}

namespace appendfs {

// The HTTP port of a server, for those who watch over it, not for its clients:
//   GET /metrics   all that `metrics` collect, and the process's own, as Prometheus text
//   GET /healthz   200 as long as the process answers at all
//   GET /readyz    200 if it can do its work, else 503 and the reason
// Answers from threads of its own. Owned by the process.
class OperationsPort {
 public:
  struct Parts {
    std::string version;                                            // of the program
    std::function<absl::Status()> ready;                            // any thread
    std::vector<std::shared_ptr<prometheus::Collectable>> metrics;  // any thread
  };
  // `wanted`: HOST:PORT, port 0 takes a free one; "none": null; empty: the port
  // behind `served`, which clients are served on, and if that cannot be had null
  // and a warning in the log. Errors name the address.
  static absl::StatusOr<std::unique_ptr<OperationsPort>> Start(const std::string& wanted,
                                                               const std::string& served,
                                                               Parts parts);
  // Ends what is being answered; nothing of `parts` is called afterwards.
  virtual ~OperationsPort() = default;
  virtual int port() const = 0;
};

}  // namespace appendfs
