#include "master/chunks/chunk_table.h"

#include <algorithm>

namespace appendfs {

static_assert(sizeof(ChunkHandle) + sizeof(SealedChunk) <= 64, "many of them are kept in memory");

bool SealedChunk::Set(ServerSlot server, ReplicaHealth health, bool confirmed) {
  for (size_t i = 0; i < count_; ++i) {
    if (replicas_[i].server != server) continue;
    replicas_[i].health = health;
    replicas_[i].confirmed = confirmed;
    return true;
  }
  if (count_ == kMaxReplicas) return false;
  replicas_[count_++] = {server, health, confirmed};
  return true;
}

void SealedChunk::Seal() {
  parked_ = false;
  for (size_t i = 0; i < count_; ++i)
    if (replicas_[i].health == ReplicaHealth::kGood) replicas_[i].health = ReplicaHealth::kHolder;
}

bool SealedChunk::Drop(ServerSlot server) {
  for (size_t i = 0; i < count_; ++i) {
    if (replicas_[i].server != server) continue;
    replicas_[i] = replicas_[--count_];
    return true;
  }
  return false;
}

const SealedChunk::Replica* SealedChunk::Find(ServerSlot server) const {
  for (const Replica& replica : replicas())
    if (replica.server == server) return &replica;
  return nullptr;
}

void SealedChunk::Unconfirm(ServerSlot server) {
  for (size_t i = 0; i < count_; ++i)
    if (replicas_[i].server == server) replicas_[i].confirmed = false;
}

bool OpenChunk::HasMember(ServerId server) const {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.server == server; });
}

ReplicaHealth JudgeReport(const SealedChunk& chunk, const v1::ReplicaReport& report) {
  if (report.damaged()) return ReplicaHealth::kDamaged;
  if (chunk.parked()) {
    bool still = !report.sealed() && report.length() == chunk.length() &&
                 Epoch(report.epoch()) == chunk.epoch();
    return still ? ReplicaHealth::kGood : ReplicaHealth::kStray;
  }
  if (!report.sealed()) return ReplicaHealth::kStray;
  bool same = report.length() == chunk.length() && report.crc32c() == chunk.crc32c();
  return same ? ReplicaHealth::kGood : ReplicaHealth::kDamaged;
}

OpenChunk& ChunkTable::AddOpen(const v1::Chunk& record, Duration now) {
  auto chunk = std::make_unique<OpenChunk>();
  chunk->record = record;
  chunk->since = now;
  for (const v1::ServerAddress& replica : record.replicas())
    chunk->members.push_back({ServerId(replica.server_id()), true});
  open_by_inode_[chunk->inode()] = chunk->handle();
  auto& place = open_[chunk->handle()];
  place = std::move(chunk);
  return *place;
}

SealedChunk& ChunkTable::AddSealed(const v1::Chunk& record) {
  return sealed_[ChunkHandle(record.handle())] = SealedChunk(
             record.length(), record.crc32c(), Epoch(record.epoch()), record.state() == v1::PARKED);
}

void ChunkTable::RemoveOpen(ChunkHandle handle) {
  auto it = open_.find(handle);
  if (it == open_.end()) return;
  auto by_inode = open_by_inode_.find(it->second->inode());
  if (by_inode != open_by_inode_.end() && by_inode->second == handle)
    open_by_inode_.erase(by_inode);
  open_.erase(it);
}

OpenChunk* ChunkTable::FindOpen(ChunkHandle handle) {
  auto it = open_.find(handle);
  return it == open_.end() ? nullptr : it->second.get();
}

const OpenChunk* ChunkTable::FindOpen(ChunkHandle handle) const {
  auto it = open_.find(handle);
  return it == open_.end() ? nullptr : it->second.get();
}

OpenChunk* ChunkTable::OpenOf(InodeId inode) {
  auto it = open_by_inode_.find(inode);
  return it == open_by_inode_.end() ? nullptr : FindOpen(it->second);
}

SealedChunk* ChunkTable::FindSealed(ChunkHandle handle) {
  auto it = sealed_.find(handle);
  return it == sealed_.end() ? nullptr : &it->second;
}

const SealedChunk* ChunkTable::FindSealed(ChunkHandle handle) const {
  auto it = sealed_.find(handle);
  return it == sealed_.end() ? nullptr : &it->second;
}

void ChunkTable::ForEachOpen(absl::FunctionRef<void(OpenChunk&)> visit) {
  for (auto& [handle, chunk] : open_) visit(*chunk);
}

void ChunkTable::ForEachSealed(absl::FunctionRef<void(ChunkHandle, SealedChunk&)> visit) {
  for (auto& [handle, chunk] : sealed_) visit(handle, chunk);
}

void ChunkTable::ForEachSealed(
    absl::FunctionRef<void(ChunkHandle, const SealedChunk&)> visit) const {
  for (const auto& [handle, chunk] : sealed_) visit(handle, chunk);
}

size_t ChunkTable::recovering_count() const {
  return static_cast<size_t>(std::count_if(open_.begin(), open_.end(), [](const auto& entry) {
    return entry.second->record.state() == v1::RECOVERING || entry.second->recovery != nullptr;
  }));
}

size_t ChunkTable::parked_count() const {
  return static_cast<size_t>(std::count_if(
      sealed_.begin(), sealed_.end(), [](const auto& entry) { return entry.second.parked(); }));
}

}  // namespace appendfs
