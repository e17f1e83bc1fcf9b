#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "common/clock.h"
#include "common/ids.h"
#include "master/chunks/recovery.h"
#include "master/chunks/server_table.h"
#include "proto/master.pb.h"

namespace appendfs {

// How a replica of a sealed or parked chunk stands.
enum class ReplicaHealth : uint8_t {
  kGood,     // sealed, with the chunk's length and checksum; or parked, at its length and epoch
  kHolder,   // holds exactly the chunk's bytes, but has not confirmed that they are sealed
  kStray,    // unsealed, short or long: to be conformed
  kDamaged,  // of no use: to be rebuilt
};

// Where a sealed chunk is, or a parked one: that is like a sealed one until
// somebody appends. At most 64 bytes with its key: there are many.
class SealedChunk {
 public:
  struct Replica {
    ServerSlot server = 0;
    ReplicaHealth health = ReplicaHealth::kGood;
    bool confirmed = false;  // under the server's present registration
  };
  static constexpr size_t kMaxReplicas = 7;

  SealedChunk() = default;
  SealedChunk(uint64_t length, uint32_t crc32c, Epoch epoch, bool parked = false)
      : length_(length),
        crc32c_(crc32c),
        epoch_(static_cast<uint32_t>(epoch.value())),
        parked_(parked) {}

  uint64_t length() const { return length_; }
  uint32_t crc32c() const { return crc32c_; }
  Epoch epoch() const { return Epoch(epoch_); }
  bool parked() const { return parked_; }
  // In the log, that is: its good replicas are still to be told.
  void Seal();
  std::span<const Replica> replicas() const { return {replicas_.data(), count_}; }

  // Adds or replaces. False: there is no room, the replica stays unknown.
  bool Set(ServerSlot server, ReplicaHealth health, bool confirmed = true);
  bool Drop(ServerSlot server);
  const Replica* Find(ServerSlot server) const;
  void Unconfirm(ServerSlot server);

 private:
  uint64_t length_ = 0;  // bytes
  uint32_t crc32c_ = 0;
  uint32_t epoch_ = 0;
  uint8_t count_ = 0;
  bool parked_ = false;
  std::array<Replica, kMaxReplicas> replicas_;
};

// A chunk that grows, or is being recovered.
struct OpenChunk {
  struct Member {
    ServerId server;
    bool confirmed = true;  // under the server's present registration
  };

  v1::Chunk record;  // as logged
  std::vector<Member> members;
  Duration since{};                         // known to this master, or reopened
  int hasty_recoveries = 0;                 // in a row, each soon after the one before
  Duration not_before{};                    // the next one at a client's word
  std::unique_ptr<ChunkRecovery> recovery;  // while one runs

  ChunkHandle handle() const { return ChunkHandle(record.handle()); }
  InodeId inode() const { return InodeId(record.inode()); }
  Epoch epoch() const { return Epoch(record.epoch()); }
  ServerId primary() const { return ServerId(record.primary_id()); }
  bool HasMember(ServerId server) const;
};

// What a server's report says about its replica of a sealed or parked chunk.
ReplicaHealth JudgeReport(const SealedChunk& chunk, const v1::ReplicaReport& report);

// Every chunk of the cluster. Durable facts come from the tables and the log,
// locations from the servers. Not thread-safe.
class ChunkTable {
 public:
  OpenChunk& AddOpen(const v1::Chunk& record, Duration now);
  // SEALED or PARKED.
  SealedChunk& AddSealed(const v1::Chunk& record);
  // The open chunk is forgotten; its sealed successor, if any, is added anew.
  void RemoveOpen(ChunkHandle handle);
  void RemoveSealed(ChunkHandle handle) { sealed_.erase(handle); }

  bool Knows(ChunkHandle handle) const {
    return open_.contains(handle) || sealed_.contains(handle);
  }
  OpenChunk* FindOpen(ChunkHandle handle);
  const OpenChunk* FindOpen(ChunkHandle handle) const;
  OpenChunk* OpenOf(InodeId inode);
  SealedChunk* FindSealed(ChunkHandle handle);
  const SealedChunk* FindSealed(ChunkHandle handle) const;

  void ForEachOpen(absl::FunctionRef<void(OpenChunk&)> visit);
  void ForEachSealed(absl::FunctionRef<void(ChunkHandle, SealedChunk&)> visit);
  void ForEachSealed(absl::FunctionRef<void(ChunkHandle, const SealedChunk&)> visit) const;
  size_t open_count() const { return open_.size(); }
  size_t sealed_count() const { return sealed_.size(); }
  size_t recovering_count() const;
  size_t parked_count() const;

 private:
  absl::flat_hash_map<ChunkHandle, std::unique_ptr<OpenChunk>> open_;
  absl::flat_hash_map<InodeId, ChunkHandle> open_by_inode_;
  absl::flat_hash_map<ChunkHandle, SealedChunk> sealed_;
};

}  // namespace appendfs
