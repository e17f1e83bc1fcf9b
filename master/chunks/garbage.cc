#include "master/chunks/garbage.h"

#include <algorithm>
#include <utility>

namespace appendfs {
namespace {

constexpr size_t kDeletesAtOnce = 256;  // per server
constexpr Duration kRetry = std::chrono::seconds(1);

}  // namespace

void GarbageCollector::Add(ChunkHandle handle, const std::vector<ServerId>& servers, bool logged) {
  Garbage& garbage = chunks_[handle];
  garbage.logged |= logged;
  for (ServerId server : servers) {
    if (std::find(garbage.servers.begin(), garbage.servers.end(), server) != garbage.servers.end())
      continue;
    garbage.servers.push_back(server);
    servers_[server].waiting.insert(handle);
  }
  FinishIfNowhere(handle);
}

std::vector<GarbageCollector::Delete> GarbageCollector::TakeDue(
    Duration now, absl::FunctionRef<bool(ServerId)> alive) {
  std::vector<Delete> due;
  for (auto& [server, at] : servers_) {
    if (at.waiting.empty() || now < at.retry || !alive(server)) continue;
    while (!at.waiting.empty() && at.running < kDeletesAtOnce) {
      due.push_back({*at.waiting.begin(), server});
      at.waiting.erase(at.waiting.begin());
      ++at.running;
    }
  }
  return due;
}

void GarbageCollector::OnDeleted(const Delete& done, const absl::Status& status, Duration now) {
  AtServer& at = servers_[done.server];
  --at.running;
  if (!status.ok()) {
    at.waiting.insert(done.handle);
    at.retry = now + kRetry;
    return;
  }
  auto it = chunks_.find(done.handle);
  if (it == chunks_.end()) return;
  std::erase(it->second.servers, done.server);
  FinishIfNowhere(done.handle);
}

void GarbageCollector::FinishIfNowhere(ChunkHandle handle) {
  auto it = chunks_.find(handle);
  if (!it->second.servers.empty()) return;
  if (it->second.logged) finished_.push_back(handle);
  chunks_.erase(it);
}

std::vector<ChunkHandle> GarbageCollector::TakeFinished() { return std::exchange(finished_, {}); }

}  // namespace appendfs
