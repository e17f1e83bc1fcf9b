#include "client/replica_order.h"

#include <algorithm>
#include <tuple>

namespace appendfs {
namespace {

constexpr Duration kShunSilent = std::chrono::seconds(1);
constexpr Duration kShunBad = std::chrono::seconds(5);
constexpr size_t kShunnedKept = 1024;
constexpr uint64_t kSpreadBytes = 4ull << 20;  // neighbouring reads stay on one replica
constexpr int kClearlyMore = 4;                // reads: fewer are no reason to leave it

}  // namespace

std::vector<v1::ServerAddress> ReplicaOrder::Order(const Piece& piece) {
  const v1::Chunk& chunk = piece.chunk;
  std::vector<v1::ServerAddress> replicas(chunk.replicas().begin(), chunk.replicas().end());
  std::erase_if(replicas, [](const auto& replica) { return replica.address().empty(); });
  if (replicas.size() < 2) return replicas;
  const bool open = chunk.state() == v1::OPEN;
  // Where nothing else decides, clients and parts of a file spread.
  std::rotate(replicas.begin(),
              replicas.begin() + (chunk.handle() + piece.offset / kSpreadBytes) % replicas.size(),
              replicas.end());
  const Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  auto rank = [&](const v1::ServerAddress& replica) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const ServerId server(replica.server_id());
    auto reads = under_way_.find(server);
    return std::tuple(Shunned(server, ChunkHandle(chunk.handle()), now),
                      open && replica.server_id() != chunk.primary_id(),
                      !is_near_(replica.address()),
                      reads == under_way_.end() ? 0 : reads->second / kClearlyMore);
  };
  std::stable_sort(replicas.begin(), replicas.end(),
                   [&](const auto& a, const auto& b)
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return rank(a) < rank(b); });
  return replicas;
}

void ReplicaOrder::Begin(ServerId server) {
  absl::MutexLock lock(&mutex_);
  ++under_way_[server];
}

void ReplicaOrder::End(ServerId server) {
  absl::MutexLock lock(&mutex_);
  auto found = under_way_.find(server);
  if (--found->second == 0) under_way_.erase(found);
}

bool ReplicaOrder::Shunned(ServerId server, ChunkHandle handle, Duration now) const {
  for (ChunkHandle about : {ChunkHandle(), handle}) {
    auto found = shunned_until_.find({server, about});
    if (found != shunned_until_.end() && found->second > now) return true;
  }
  return false;
}

void ReplicaOrder::ShunSilent(ServerId server) { Shun(server, ChunkHandle(), kShunSilent); }

void ReplicaOrder::ShunBad(ServerId server, ChunkHandle handle) { Shun(server, handle, kShunBad); }

void ReplicaOrder::Shun(ServerId server, ChunkHandle handle, Duration how_long) {
  absl::MutexLock lock(&mutex_);
  if (shunned_until_.size() > kShunnedKept) shunned_until_.clear();
  shunned_until_[{server, handle}] = clock_.Monotonic() + how_long;
}

}  // namespace appendfs
