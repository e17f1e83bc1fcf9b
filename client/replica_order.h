#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/chunk_list.h"
#include "common/clock.h"
#include "common/ids.h"

namespace appendfs {

// Which of a chunk's replicas is asked first: of an open chunk its primary, who
// knows the newest committed length; else one on this host, or one with clearly
// fewer of this client's reads under way. Those that were silent or bad lately
// come last. Thread-safe.
class ReplicaOrder {
 public:
  // Whether an address (host:port) is this host's; client/local_host.h.
  using IsNear = std::function<bool(const std::string& address)>;
  ReplicaOrder(const Clock& clock, IsNear is_near) : clock_(clock), is_near_(std::move(is_near)) {}

  // The replicas that have an address.
  std::vector<v1::ServerAddress> Order(const Piece& piece);

  // A read is under way, and no more.
  void Begin(ServerId server);
  void End(ServerId server);
  // For a while: the server as a whole is asked last, or for this chunk.
  void ShunSilent(ServerId server);
  void ShunBad(ServerId server, ChunkHandle handle);

 private:
  bool Shunned(ServerId server, ChunkHandle handle, Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Shun(ServerId server, ChunkHandle handle, Duration how_long);

  const Clock& clock_;
  const IsNear is_near_;

  absl::Mutex mutex_;
  absl::flat_hash_map<ServerId, int> under_way_ ABSL_GUARDED_BY(mutex_);
  // Until when; no handle: the whole server.
  std::map<std::pair<ServerId, ChunkHandle>, Duration> shunned_until_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
