#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "chunkserver/store/directory_files.h"
#include "chunkserver/store/journal.h"
#include "chunkserver/store/stored_replica.h"
#include "common/file_system.h"

namespace appendfs {

using ReplicaMap = absl::btree_map<ChunkHandle, std::shared_ptr<StoredReplica>>;

// What a data directory holds after its sidecars were read and its journal
// was replayed on top.
struct RecoveredStore {
  ReplicaMap replicas;
  CheckpointFile checkpoint;
  bool checkpoint_known = false;      // its file could be read
  std::vector<ChunkHandle> removals;  // files left of no replica
  uint64_t next_sequence = 1;         // of the next journal group
  uint64_t previous_sequence = 0;     // that it follows
  uint64_t groups_replayed = 0;
  bool torn_tail = false;             // the last group had never been synced, and was cut
  std::vector<std::string> problems;  // in words: what was damaged, and why
};

struct RecoverStoreOptions {
  std::string cluster_uuid;          // sidecars of another cluster are damaged
  uint64_t max_unapplied_bytes = 0;  // replayed bytes held in memory before they go to chunk files
  bool read_only = false;            // touch nothing: for checking a directory offline
};

// Reads everything. Only errors of the directory as a whole are errors; what
// concerns one replica marks that replica damaged.
absl::StatusOr<RecoveredStore> RecoverStore(FileSystem& fs, const std::string& directory,
                                            Journal& journal, const RecoverStoreOptions& options);

}  // namespace appendfs
