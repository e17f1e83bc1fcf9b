#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chunkserver/store/chunk_store.h"

namespace appendfs {

// What a store should hold, worked out independently of it: whole strings
// instead of files, the rules of chunk_store.h instead of a journal.
class StoreModel {
 public:
  struct Replica {
    ReplicaIdentity identity;
    Epoch epoch;
    std::string bytes;
    uint64_t committed = 0;
    bool sealed = false;
    uint64_t mtime_ns = 0;
    // By client, the last 64 (sequence, offset, length).
    std::map<uint64_t, std::vector<std::tuple<uint64_t, uint64_t, uint32_t>>> memory;
  };

  // Whether the store accepts the change; if so, makes it.
  bool Apply(const StoreChange& change);
  void SetCommitted(ChunkHandle handle, uint64_t length);
  void Import(const Replica& replica);

  const std::map<ChunkHandle, Replica>& replicas() const { return replicas_; }
  const Replica* Find(ChunkHandle handle) const;
  bool IsDeleted(ChunkHandle handle) const { return deleted_.contains(handle); }

  // In words, how `states` (every replica's, with memory) and `bytes` differ
  // from this; empty if they do not. Committed lengths may be lower.
  std::string Compare(const std::map<ChunkHandle, ReplicaState>& states,
                      const std::map<ChunkHandle, std::string>& bytes) const;
  // After a restart: what is known to be committed may have become less.
  void TakeCommitted(const std::map<ChunkHandle, ReplicaState>& states);

 private:
  bool Do(const CreateReplica& create);
  bool Do(const AppendBatch& batch);
  bool Do(const FenceReplica& fence);
  bool Do(const ConformReplica& conform);
  bool Do(const DeleteReplica& removal);

  std::map<ChunkHandle, Replica> replicas_;
  std::set<ChunkHandle> deleted_;
};

v1::DedupMemory ToProto(const StoreModel::Replica& replica);

}  // namespace appendfs
