#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/engine/chunk_fetcher.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/store/chunk_store.h"

namespace appendfs {

// What a replica is to become.
struct ConformCommand {
  ReplicaIdentity identity;  // capacity is set by the conformer
  Epoch epoch;
  uint64_t length = 0;
  std::vector<std::string> sources;  // addresses of replicas that hold it
  v1::DedupMemory memory;
  uint64_t mtime_ns = 0;
  bool seal = false;
  bool check_crc = false;
  uint32_t crc32c = 0;
};

// Makes a replica hold exactly what recovery has decided: cuts it, fetches
// what is missing, or builds it from nothing. Blocking; thread-safe, one
// command per chunk at a time. Run by Control on threads of its own.
class Conformer {
 public:
  Conformer(Engine& engine, ChunkStore& store, ChunkFetcher& fetcher);

  // The checksum of all the replica's bytes, once they are durable and verified.
  absl::StatusOr<uint32_t> Conform(ConformCommand command);

 private:
  class Turn;

  absl::StatusOr<uint32_t> ConformLocked(const ConformCommand& command);
  absl::StatusOr<uint32_t> ConformPresent(const ConformCommand& command, uint64_t held);
  absl::Status CreateEmpty(const ConformCommand& command);
  absl::StatusOr<uint32_t> Replace(const ConformCommand& command);
  absl::StatusOr<uint32_t> Rebuild(const ConformCommand& command);
  absl::Status AppendMissing(const ConformCommand& command, uint64_t held);

  // Verified bytes [from, length), piece by piece, from whichever source has them.
  using Taker = std::function<absl::Status(uint64_t offset, const FetchedBytes& bytes)>;
  absl::Status FetchAll(const ConformCommand& command, uint64_t from, const Taker& take);
  absl::Status ApplyAndWait(StoreChange change);

  Engine& engine_;
  ChunkStore& store_;
  ChunkFetcher& fetcher_;

  absl::Mutex mutex_;
  absl::flat_hash_set<ChunkHandle> busy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
