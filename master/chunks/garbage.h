#pragma once

#include <set>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"

namespace appendfs {

// Chunks that no file refers to, until every server that may hold a replica
// has deleted it. Logged ones are then forgotten through the log. A plain
// state machine; not thread-safe.
class GarbageCollector {
 public:
  struct Delete {
    ChunkHandle handle;
    ServerId server;
  };

  // `logged`: it stands in the garbage table. Adding it again adds servers.
  void Add(ChunkHandle handle, const std::vector<ServerId>& servers, bool logged);
  bool Contains(ChunkHandle handle) const { return chunks_.contains(handle); }

  // Deletes to be sent to live servers now.
  std::vector<Delete> TakeDue(Duration now, absl::FunctionRef<bool(ServerId)> alive);
  void OnDeleted(const Delete& done, const absl::Status& status, Duration now);

  // Logged chunks that are nowhere any more: propose ForgetGarbageOp.
  std::vector<ChunkHandle> TakeFinished();

  size_t count() const { return chunks_.size(); }

 private:
  struct Garbage {
    std::vector<ServerId> servers;  // not yet deleted there
    bool logged = false;
  };
  struct AtServer {
    std::set<ChunkHandle> waiting;
    size_t running = 0;
    Duration retry{};
  };

  void FinishIfNowhere(ChunkHandle handle);

  absl::flat_hash_map<ChunkHandle, Garbage> chunks_;
  absl::flat_hash_map<ServerId, AtServer> servers_;
  std::vector<ChunkHandle> finished_;
};

}  // namespace appendfs
