#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

struct MasterOptions {
  std::string data_dir;
  std::string listen = "127.0.0.1:9400";  // port 0: any free one
  std::string http;                       // HOST:PORT for operators; empty: the port behind; "none"
  uint64_t chunk_bytes = kDefaultChunkBytes;
  uint64_t session_timeout_seconds = 180;  // of a client that is silent
  // Told once, on another thread, if the log has failed: the process must end.
  std::function<void(const absl::Status&)> on_failure;
};

// The composition root of the master: makes every part and hands it down,
// bottom up; takes them down in the opposite order.
class MasterProcess {
 public:
  // Serves when it returns. Errors name the data directory or the address.
  static absl::StatusOr<std::unique_ptr<MasterProcess>> Start(MasterOptions options);
  // Answers what is under way, writes what the log holds, closes the tables.
  virtual ~MasterProcess() = default;

  virtual int port() const = 0;
  virtual int http_port() const = 0;  // 0: none
  virtual std::string cluster_uuid() const = 0;
  virtual uint64_t incarnation() const = 0;
};

}  // namespace appendfs
