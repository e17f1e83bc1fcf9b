#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <variant>
#include <vector>

#include "tests/chunkserver/core/sim_cluster.h"

namespace appendfs::sim {

inline constexpr uint64_t kCapacity = 4000;
inline constexpr Epoch kEpoch{1}, kFence{2};  // of every chunk in turn

// One chunkserver of the cluster: the cores of its chunks, a disk whose queue
// is lost in a crash, and what it sends.
class Cluster::Server {
 public:
  Server(Cluster& cluster, ServerId id);
  ~Server();

  bool up() const { return up_; }
  ServerId id() const { return id_; }
  void Create(const Tail& tail, bool primary);
  void Crash();
  void Restart();
  void DiskStep();
  void Tick();
  bool disk_busy() const { return !queue_.empty(); }

  void OnBatch(const ClientBatch& batch);
  void OnReady(ServerId from, const Ready& ready);
  void OnCommit(const Commit& commit);
  void OnConfirm(ServerId from, const Confirm& confirm);
  void OnVote(ServerId from, const Vote& vote);
  void OnConfirmAnswer(ServerId from, const ConfirmAnswer& answer);
  void OnPeerBroken(ServerId peer);
  void OnFence(ChunkHandle handle);
  void AskFresh(ChunkHandle handle, uint64_t token);

  // What is on disk, and what readers saw.
  struct Disk {
    std::vector<Stored> batches;
    DedupMemory memory;
    Epoch promised = kEpoch;
    uint64_t length() const {
      return batches.empty() ? 0 : batches.back().offset + batches.back().bytes.size();
    }
  };
  const std::map<ChunkHandle, Disk>& disks() const { return disks_; }
  uint64_t shown(ChunkHandle handle) const {
    auto found = shown_.find(handle);
    return found == shown_.end() ? 0 : found->second;
  }

 private:
  class Slot;
  struct FenceRecord {
    ChunkHandle handle;
  };
  using Write = std::variant<Ready, FenceRecord>;

  Cluster& cluster_;
  const ServerId id_;
  bool up_ = true;
  std::map<ChunkHandle, Disk> disks_;
  std::map<ChunkHandle, uint64_t> shown_;
  std::map<ChunkHandle, std::unique_ptr<Slot>> slots_;
  std::deque<Write> queue_;  // lost in a crash
};

}  // namespace appendfs::sim
