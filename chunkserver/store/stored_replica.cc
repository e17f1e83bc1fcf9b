#include "chunkserver/store/stored_replica.h"

#include <algorithm>
#include <utility>

namespace appendfs {

StoredReplica::StoredReplica(const Sidecar& sidecar)
    : identity_(sidecar.identity),
      epoch_(sidecar.epoch),
      sealed_(sidecar.sealed),
      damaged_(sidecar.damaged),
      damage_(sidecar.damage),
      committed_(sidecar.committed_length),
      mtime_ns_(sidecar.mtime_ns),
      memory_(sidecar.memory),
      sums_(sidecar.block_crc32c, sidecar.length),
      applied_(sidecar.length),
      sequence_(sidecar.sequence),
      checkpointed_(sidecar.sequence),
      saved_damaged_(sidecar.damaged),
      file_is_named_(sidecar.length > 0) {}

void StoredReplica::Apply(const CreateReplica& create, uint64_t sequence) {
  identity_ = create.identity;
  epoch_ = create.epoch;
  mtime_ns_ = create.mtime_ns;
  memory_ = DedupMemory(create.memory);
  sequence_ = sequence;
}

void StoredReplica::Apply(const AppendBatch& batch, const PartSums& parts, uint64_t sequence) {
  tail_.Append(batch.offset, batch.payload);
  Grow(batch, static_cast<uint32_t>(batch.payload.size()), parts, sequence);
}

void StoredReplica::Apply(const InPlaceRecord& append, uint64_t sequence) {
  Grow(append.batch, append.length, append.parts, sequence);
  SetApplied(length());
}

void StoredReplica::Grow(const AppendBatch& batch, uint32_t bytes, const PartSums& parts,
                         uint64_t sequence) {
  sums_.Append(bytes, parts);
  mtime_ns_ = batch.mtime_ns;
  if (batch.client && batch.sequence > memory_.Last(batch.client))
    memory_.Add(batch.client,
                {batch.sequence, FileOffset(identity_.base_offset + batch.offset), bytes});
  sequence_ = sequence;
}

void StoredReplica::Apply(const FenceReplica& fence, uint64_t sequence) {
  epoch_ = fence.epoch;
  sequence_ = sequence;
}

void StoredReplica::Apply(const ConformRecord& conform, uint64_t sequence) {
  const ConformReplica& change = conform.change;
  if (change.length < length()) {
    sums_.CutTo(change.length, conform.last_block_crc32c);
    tail_.CutTo(change.length);
    applied_ = std::min(applied_, change.length);
    committed_ = std::min(committed_, change.length);
    file_too_long_ = true;
    ++cuts_;
    cut_ = sequence;
  }
  epoch_ = change.epoch;
  mtime_ns_ = change.mtime_ns;
  memory_ = DedupMemory(change.memory);
  if (change.seal) {
    sealed_ = true;
    committed_ = length();
  }
  sequence_ = sequence;
}

void StoredReplica::Damage(std::string why) {
  if (damaged_) return;
  damaged_ = true;
  damage_ = std::move(why);
  tail_ = UnappliedTail();
}

void StoredReplica::Apply(const DamageRecord& record, uint64_t sequence) {
  Damage(record.why);
  sequence_ = sequence;
}

void StoredReplica::SetCheckpointed(const Sidecar& sidecar) {
  checkpointed_ = std::max(checkpointed_, sidecar.sequence);
  saved_damaged_ = sidecar.damaged;
  file_is_named_ = file_is_named_ || sidecar.length > 0;
}

void StoredReplica::SetApplied(uint64_t length) {
  applied_ = std::max(applied_, length);
  tail_.DropBelow(applied_);
}

ReplicaState StoredReplica::State(bool with_memory) const {
  ReplicaState state;
  state.identity = identity_;
  state.epoch = epoch_;
  state.durable_length = length();
  state.committed_length = committed();
  state.sealed = sealed_;
  state.damaged = damaged_;
  state.damage = damage_;
  state.mtime_ns = mtime_ns_;
  if (with_memory) state.memory = memory_.ToProto();
  return state;
}

Sidecar StoredReplica::ToSidecar(const std::string& cluster_uuid) const {
  Sidecar sidecar;
  sidecar.cluster_uuid = cluster_uuid;
  sidecar.identity = identity_;
  sidecar.epoch = epoch_;
  sidecar.sealed = sealed_;
  sidecar.damaged = damaged_;
  sidecar.damage = damage_;
  sidecar.length = length();
  sidecar.committed_length = committed();
  sidecar.mtime_ns = mtime_ns_;
  sidecar.sequence = sequence_;
  sidecar.block_crc32c = sums_.sums();
  sidecar.memory = memory_.ToProto();
  return sidecar;
}

}  // namespace appendfs
