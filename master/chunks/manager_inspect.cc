// Manager: what the replicas' servers say themselves.

#include <map>
#include <string>
#include <utility>

#include "master/chunks/manager.h"

namespace appendfs {
namespace {

constexpr Duration kInspectTimeout = std::chrono::seconds(1);

void Fill(const v1::InspectResponse::Item& item, v1::ReplicaInfo& info) {
  info.set_reachable(true);
  info.set_epoch(item.epoch());
  info.set_length(item.durable_length());
  info.set_sealed(item.sealed());
  info.set_damaged(item.damaged() || item.error().reason() == v1::REPLICA_DAMAGED);
  info.set_primary(item.primary());
}

// One call's question: which replicas of which chunks, in the call's order.
struct Question {
  v1::InspectRequest request;
  std::vector<std::pair<size_t, int>> about;
};

}  // namespace

std::vector<v1::ChunkInfo> Manager::InspectChunks(std::span<const v1::Chunk> chunks) {
  struct Shared {
    absl::Mutex mutex;
    std::vector<v1::ChunkInfo> infos ABSL_GUARDED_BY(mutex);
    size_t unanswered ABSL_GUARDED_BY(mutex) = 0;
  };
  auto shared = std::make_shared<Shared>();
  std::map<std::string, Question> questions;  // by the server's address
  {
    absl::MutexLock lock(&shared->mutex);
    for (const v1::Chunk& chunk : chunks) {
      v1::ChunkInfo& info = shared->infos.emplace_back();
      *info.mutable_chunk() = chunk;
      FillLocations(*info.mutable_chunk());
      for (const v1::ServerAddress& replica : info.chunk().replicas()) {
        Question& question = questions[replica.address()];
        question.request.add_handles(chunk.handle());
        question.about.emplace_back(shared->infos.size() - 1, info.replicas_size());
        v1::ReplicaInfo& at = *info.add_replicas();
        at.set_server_id(replica.server_id());
        at.set_address(replica.address());
      }
    }
    shared->unanswered = questions.size();
  }
  for (auto& [address, question] : questions) {
    client_->Call(
        address, std::move(question.request), kInspectTimeout,
        [shared, about = std::move(question.about)](absl::StatusOr<v1::InspectResponse> response) {
          absl::MutexLock lock(&shared->mutex);
          shared->unanswered -= 1;
          if (!response.ok() || static_cast<size_t>(response->items_size()) != about.size()) return;
          for (size_t i = 0; i < about.size(); ++i) {
            const auto [chunk, replica] = about[i];
            Fill(response->items(static_cast<int>(i)),
                 *shared->infos[chunk].mutable_replicas(replica));
          }
        });
  }
  auto all_answered = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return shared->unanswered == 0; };
  absl::MutexLock lock(&shared->mutex);
  shared->mutex.AwaitWithTimeout(absl::Condition(&all_answered),
                                 absl::FromChrono(2 * kInspectTimeout));
  return shared->infos;
}

}  // namespace appendfs
