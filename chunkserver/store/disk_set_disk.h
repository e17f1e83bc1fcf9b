#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "chunkserver/store/disk_set.h"

namespace appendfs {

// One directory of a DiskSet: hears what its store says, and passes on what
// still counts. Owned by the set; called by its store's journal thread.
class DiskSet::Disk final : public StoreListener {
 public:
  Disk(DiskSet& owner, std::string path) : directory(std::move(path)), owner_(owner) {}

  void OnDurable(std::span<const StoreCompletion> completions) override;
  void OnStoreFailed(const absl::Status& why) override { owner_.Retire(*this, why); }
  void OnReplicaDamaged(ChunkHandle handle, const std::string& why) override;
  void OnReplicasLost(std::span<const ChunkHandle>, const absl::Status&) override {}

  const std::string directory;
  // Set while opening; null: it could not be opened.
  std::unique_ptr<ThreadedChunkStore> store;
  // The rest is guarded by the set's lock.
  std::string failure;  // empty: in use
  uint64_t chunks = 0;  // routes to it
  bool healthy() const { return failure.empty(); }

 private:
  DiskSet& owner_;
};

}  // namespace appendfs
