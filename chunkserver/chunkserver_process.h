#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/status.h"

namespace appendfs {

struct ChunkserverOptions {
  std::vector<std::string> data_dirs;  // one per disk
  std::string listen;                  // host:port; port 0 takes a free one
  std::string advertise;               // host:port others use; empty: the listening address
  std::string http;                    // host:port for operators; empty: the port behind; "none"
  std::string master;                  // host:port
  uint32_t park_after = 60;            // seconds without an append until a chunk is put to rest
};

// A whole chunkserver: makes all its parts, hands them to each other, and
// takes them down in order. Owned by main.
class ChunkserverProcess {
 public:
  // Opens the data directories, serves, and begins to register. `on_fatal` is
  // called once, from a thread of its own, when the server cannot go on: the
  // master refused it for good. Errors name the data directory or the address.
  static absl::StatusOr<std::unique_ptr<ChunkserverProcess>> Start(
      const ChunkserverOptions& options, absl::AnyInvocable<void(absl::Status) &&> on_fatal);
  // Takes no more appends, completes the store.
  ~ChunkserverProcess();

  const std::string& address() const;  // as told to the master

 private:
  struct Parts;
  explicit ChunkserverProcess(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace appendfs
