#include "master/chunks/chunk_manager.h"

#include "master/chunks/manager.h"

namespace appendfs {

absl::StatusOr<std::unique_ptr<ChunkManager>> ChunkManager::Create(
    const ChunkManagerOptions& options, MetaLog& log, const SessionTable& sessions,
    const Clock& clock, uint64_t incarnation, std::string cluster_uuid) {
  return Manager::Create(options, log, sessions, clock, incarnation, std::move(cluster_uuid),
                         {MakeGrpcServerClient(), MakeThreadExecutor("chunks")});
}

}  // namespace appendfs
