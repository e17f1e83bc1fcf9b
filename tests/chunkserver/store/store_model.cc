#include "tests/chunkserver/store/store_model.h"

#include <algorithm>

#include "common/str_cat.h"

namespace appendfs {
namespace {

void Remember(const v1::DedupMemory& from, StoreModel::Replica& to) {
  to.memory.clear();
  for (const auto& client : from.clients())
    for (const auto& outcome : client.outcomes())
      to.memory[client.client_id()].emplace_back(outcome.sequence(), outcome.offset(),
                                                 outcome.length());
}

}  // namespace

v1::DedupMemory ToProto(const StoreModel::Replica& replica) {
  v1::DedupMemory memory;
  for (const auto& [id, outcomes] : replica.memory) {
    auto* client = memory.add_clients();
    client->set_client_id(id);
    for (const auto& [sequence, offset, length] : outcomes) {
      auto* outcome = client->add_outcomes();
      outcome->set_sequence(sequence);
      outcome->set_offset(offset);
      outcome->set_length(length);
    }
  }
  return memory;
}

const StoreModel::Replica* StoreModel::Find(ChunkHandle handle) const {
  auto found = replicas_.find(handle);
  return found == replicas_.end() ? nullptr : &found->second;
}

bool StoreModel::Apply(const StoreChange& change) {
  return std::visit([&](const auto& c) { return Do(c); }, change);
}

bool StoreModel::Do(const CreateReplica& create) {
  const ChunkHandle handle = create.identity.handle;
  if (const Replica* held = Find(handle))
    return held->epoch == create.epoch && held->identity.inode == create.identity.inode &&
           held->identity.base_offset == create.identity.base_offset &&
           held->identity.capacity == create.identity.capacity;
  if (deleted_.contains(handle)) return false;
  Replica& replica = replicas_[handle];
  replica.identity = create.identity;
  replica.epoch = create.epoch;
  replica.mtime_ns = create.mtime_ns;
  Remember(create.memory, replica);
  return true;
}

bool StoreModel::Do(const AppendBatch& batch) {
  auto found = replicas_.find(batch.handle);
  if (found == replicas_.end()) return false;
  Replica& replica = found->second;
  if (replica.sealed || replica.epoch != batch.epoch || batch.offset != replica.bytes.size() ||
      (batch.client && batch.offset + batch.payload.size() > replica.identity.capacity) ||
      batch.payload.empty())
    return false;
  replica.bytes += batch.payload.view();
  replica.mtime_ns = batch.mtime_ns;
  if (batch.client) {
    auto& outcomes = replica.memory[batch.client.value()];
    outcomes.emplace_back(batch.sequence.value(), replica.identity.base_offset + batch.offset,
                          batch.payload.size());
    if (outcomes.size() > 64) outcomes.erase(outcomes.begin());
  }
  return true;
}

bool StoreModel::Do(const FenceReplica& fence) {
  auto found = replicas_.find(fence.handle);
  if (found == replicas_.end() || fence.epoch < found->second.epoch) return false;
  found->second.epoch = fence.epoch;
  return true;
}

bool StoreModel::Do(const ConformReplica& conform) {
  auto found = replicas_.find(conform.handle);
  if (found == replicas_.end()) return false;
  Replica& replica = found->second;
  if (conform.epoch < replica.epoch || conform.length > replica.bytes.size()) return false;
  if (replica.sealed && conform.length < replica.bytes.size()) return false;
  replica.bytes.resize(conform.length);
  replica.committed = std::min(replica.committed, conform.length);
  replica.epoch = conform.epoch;
  replica.mtime_ns = conform.mtime_ns;
  Remember(conform.memory, replica);
  if (conform.seal) {
    replica.sealed = true;
    replica.committed = conform.length;
  }
  return true;
}

bool StoreModel::Do(const DeleteReplica& removal) {
  replicas_.erase(removal.handle);
  deleted_.insert(removal.handle);
  return true;
}

void StoreModel::SetCommitted(ChunkHandle handle, uint64_t length) {
  if (auto found = replicas_.find(handle); found != replicas_.end())
    found->second.committed = std::max(found->second.committed, length);
}

void StoreModel::Import(const Replica& replica) {
  replicas_[replica.identity.handle] = replica;
  deleted_.erase(replica.identity.handle);
}

std::string StoreModel::Compare(const std::map<ChunkHandle, ReplicaState>& states,
                                const std::map<ChunkHandle, std::string>& bytes) const {
  for (const auto& [handle, state] : states)
    if (!replicas_.contains(handle)) return StrCat("chunk ", handle, " should not be there");
  for (const auto& [handle, replica] : replicas_) {
    const std::string chunk = StrCat("chunk ", handle, ": ");
    auto found = states.find(handle);
    if (found == states.end()) return chunk + "is missing";
    const ReplicaState& state = found->second;
    if (state.damaged) return StrCat(chunk, "is damaged: ", state.damage);
    if (state.durable_length != replica.bytes.size())
      return StrCat(chunk, state.durable_length, " bytes, should be ", replica.bytes.size());
    if (bytes.at(handle) != replica.bytes) return chunk + "other bytes";
    if (state.identity.inode != replica.identity.inode ||
        state.identity.base_offset != replica.identity.base_offset ||
        state.identity.capacity != replica.identity.capacity)
      return chunk + "other identity";
    if (state.epoch != replica.epoch)
      return StrCat(chunk, "epoch ", state.epoch, ", should be ", replica.epoch);
    if (state.sealed != replica.sealed) return chunk + "sealed or not";
    if (state.mtime_ns != replica.mtime_ns)
      return StrCat(chunk, "mtime ", state.mtime_ns, ", should be ", replica.mtime_ns);
    if (state.committed_length > replica.committed)
      return StrCat(chunk, state.committed_length, " bytes committed, at most ", replica.committed);
    v1::DedupMemory memory = ToProto(replica);
    if (state.memory.SerializeAsString() != memory.SerializeAsString())
      return StrCat(chunk, "memory ", state.memory.ShortDebugString(), ", should be ",
                    memory.ShortDebugString());
  }
  return "";
}

void StoreModel::TakeCommitted(const std::map<ChunkHandle, ReplicaState>& states) {
  for (auto& [handle, replica] : replicas_) replica.committed = states.at(handle).committed_length;
}

}  // namespace appendfs
