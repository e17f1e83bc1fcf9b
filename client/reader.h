#pragma once

#include <memory>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "client/chunk_client.h"
#include "client/chunk_list.h"
#include "client/queue_budget.h"
#include "client/readahead.h"
#include "client/replica_reader.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/ids.h"

namespace appendfs {

// Where a reader learns a file's chunks: the master.
class PlanSource {
 public:
  virtual ~PlanSource() = default;
  virtual absl::StatusOr<v1::FilePlan> GetPlan(InodeId inode, uint32_t from_index,
                                               Duration deadline) = 0;
};

// Reads one file. Sealed bytes come from any replica; the end of the file is
// asked of the tail's primary, or of the master where there is none, whenever
// a read may touch it. Thread-safe; calls block until their deadline
// (Clock::Monotonic) at the latest.
class Reader : public std::enable_shared_from_this<Reader> {
 public:
  // What a client's readers share; outlives them.
  struct Shared {
    const Clock& clock;
    PlanSource& plans;
    ChunkClient& chunks;
    ReplicaReader& replicas;
    ReadaheadBudget& budget;
    uint64_t readahead_bytes;
  };

  Reader(InodeId inode, Shared& shared, std::shared_ptr<KnownSize> known)
      : inode_(inode),
        shared_(shared),
        known_(std::move(known)),
        readahead_(shared.readahead_bytes, shared.budget) {}

  // The whole plan, as the master answered when the file was opened.
  void SetPlan(const v1::FilePlan& plan);

  absl::StatusOr<Buffer> Read(uint64_t offset, uint64_t length, Duration deadline);
  // The committed size now, no older than the call.
  absl::StatusOr<uint64_t> Size(Duration deadline);
  // The open tail as known, or nothing.
  std::optional<v1::Chunk> Tail() const;

  // Gives back the blocks of a file that nobody has read for a while.
  void DropIdleBlocks(Duration idle_since);

 private:
  absl::Status Refresh(bool whole, Duration deadline);
  absl::StatusOr<Buffer> ReadKnown(uint64_t offset, uint64_t length, Duration deadline);
  absl::StatusOr<Buffer> ReadDirect(uint64_t offset, uint64_t length, Duration deadline);
  std::optional<Buffer> ReadAtTail(uint64_t offset, uint64_t length, Duration deadline);
  void StartBlock(std::shared_ptr<ReadaheadBlock> block);
  void Pause(Duration& backoff, Duration deadline);

  const InodeId inode_;
  Shared& shared_;
  const std::shared_ptr<KnownSize> known_;

  mutable absl::Mutex mutex_;
  ChunkList chunks_ ABSL_GUARDED_BY(mutex_);
  Readahead readahead_ ABSL_GUARDED_BY(mutex_);
  Duration last_read_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace appendfs
