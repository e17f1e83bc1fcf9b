#pragma once

#include <cstdint>
#include <string>

#include "chunkserver/core/dedup_memory.h"
#include "chunkserver/store/block_sums.h"
#include "chunkserver/store/chunk_store.h"
#include "chunkserver/store/record.h"
#include "chunkserver/store/sidecar.h"
#include "chunkserver/store/unapplied_tail.h"

namespace appendfs {

// One replica as the store holds it in memory: what is durable of it, and
// where its bytes are. Changes only by whole journal records, the same way
// when a group became durable and when it is replayed.
//
// Not thread-safe; guarded by the store's lock.
class StoredReplica {
 public:
  // Bytes are in three places: below `applied` in the chunk file, from there
  // to `length` in the tail. The file may hold more than `applied`, of no
  // meaning.
  StoredReplica() = default;
  explicit StoredReplica(const Sidecar& sidecar);

  // `sequence` is that of the journal group.
  void Apply(const CreateReplica& create, uint64_t sequence);
  void Apply(const AppendBatch& batch, const PartSums& parts, uint64_t sequence);
  // The chunk file holds these bytes, and all before them.
  void Apply(const InPlaceRecord& append, uint64_t sequence);
  void Apply(const FenceReplica& fence, uint64_t sequence);
  void Apply(const ConformRecord& conform, uint64_t sequence);
  // Whatever it holds is void from now on.
  void Damage(std::string why);
  void Apply(const DamageRecord& record, uint64_t sequence);

  void SetCommitted(uint64_t length) { committed_ = std::max(committed_, length); }
  // Chunk file holds everything below `length` (as of `cuts`).
  void SetApplied(uint64_t length);
  // A sidecar with this content lies beside the chunk file.
  void SetCheckpointed(const Sidecar& sidecar);

  const ReplicaIdentity& identity() const { return identity_; }
  Epoch epoch() const { return epoch_; }
  uint64_t length() const { return sums_.length(); }
  uint64_t committed() const { return std::min(committed_, length()); }
  uint64_t applied() const { return applied_; }
  uint64_t unapplied() const { return damaged_ ? 0 : length() - applied_; }
  bool sealed() const { return sealed_; }
  bool damaged() const { return damaged_; }
  const std::string& damage() const { return damage_; }
  const BlockSums& sums() const { return sums_; }
  const UnappliedTail& tail() const { return tail_; }
  // Rises with every cut: bytes read before one may not be those meant after.
  uint64_t cuts() const { return cuts_; }
  // The chunk file may hold bytes at or above `length()` that are no part of it.
  bool file_too_long() const { return file_too_long_; }
  void SetFileLength(uint64_t bytes) { file_too_long_ = bytes > length(); }
  uint64_t sequence() const { return sequence_; }
  // The chunk file's name is durable (a sidecar or an append in place relies on it).
  bool file_is_named() const { return file_is_named_; }
  void SetFileNamed() { file_is_named_ = true; }
  // What comes next may be written to the chunk file before the journal has it.
  // Everything before it is there, nothing of no meaning is behind, and none of
  // the records that a replay may begin with wrote there what was cut later:
  // replay may write such bytes once more.
  bool TakesInPlace() const {
    return !damaged_ && unapplied() == 0 && !file_too_long_ && cut_ <= checkpointed_;
  }
  uint64_t checkpointed() const { return checkpointed_; }
  bool dirty() const { return sequence_ > checkpointed_ || damaged_ != saved_damaged_; }

  ReplicaState State(bool with_memory) const;
  Sidecar ToSidecar(const std::string& cluster_uuid) const;

 private:
  void Grow(const AppendBatch& batch, uint32_t bytes, const PartSums& parts, uint64_t sequence);

  ReplicaIdentity identity_;
  Epoch epoch_;
  bool sealed_ = false;
  bool damaged_ = false;
  std::string damage_;
  uint64_t committed_ = 0;  // may be above the length: known before the bytes came
  uint64_t mtime_ns_ = 0;
  DedupMemory memory_;
  BlockSums sums_;

  UnappliedTail tail_;
  uint64_t applied_ = 0;
  uint64_t cuts_ = 0;
  uint64_t cut_ = 0;  // sequence of the last
  bool file_too_long_ = false;

  uint64_t sequence_ = 0;       // of the last group that changed it
  uint64_t checkpointed_ = 0;   // the sidecar contains the groups up to this
  bool saved_damaged_ = false;  // the sidecar says so
  bool file_is_named_ = false;
};

}  // namespace appendfs
