#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "chunkserver/store/block_sums.h"
#include "chunkserver/store/store_core.h"

namespace appendfs {

// A replica on its way in: its bytes go to a file beside the chunk files, and
// the background thread takes it in when all of it is durable. One thread at a
// time.
class ReplicaImport final : public ChunkStore::Import {
 public:
  // Runs the given work on the store's background thread and waits for it.
  using RunInBackground = std::function<absl::Status(absl::AnyInvocable<absl::Status()>)>;

  static absl::StatusOr<std::unique_ptr<ChunkStore::Import>> Begin(StoreCore& core,
                                                                   const ReplicaIdentity& identity,
                                                                   Epoch epoch,
                                                                   RunInBackground background);
  ~ReplicaImport() override;
  absl::Status Write(std::string_view bytes) override;
  absl::Status Finish(uint64_t length, uint32_t crc32c, uint64_t mtime_ns,
                      const v1::DedupMemory& memory) override;

 private:
  ReplicaImport(StoreCore& core, const ReplicaIdentity& identity, Epoch epoch,
                RunInBackground background);

  StoreCore& core_;
  const ReplicaIdentity identity_;
  const Epoch epoch_;
  const RunInBackground background_;
  const std::string path_;
  std::unique_ptr<File> file_;
  BlockSums sums_;
  bool finished_ = false;
};

}  // namespace appendfs
