#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/store/apply_plan.h"
#include "chunkserver/store/chunk_files.h"
#include "chunkserver/store/chunk_store.h"
#include "chunkserver/store/directory_files.h"
#include "chunkserver/store/journal.h"
#include "chunkserver/store/recovery.h"
#include "common/clock.h"

namespace appendfs {

// One group commit on its way.
struct PendingGroup {
  struct Change {
    uint64_t token = 0;
    bool internal = false;  // the store's own: nobody is told
    JournalRecord record;
    absl::Status status;                     // refused if not OK
    bool journaled = false;                  // goes into the journal; else refused, or so already
    std::shared_ptr<StoredReplica> replica;  // null: the change makes one
    PartSums parts;                          // of an append through the journal
    uint64_t cut_block = 0;  // of a conform that cuts within a block: bytes that stay of it
    ChunkHandle handle() const { return HandleOf(record); }
  };
  std::vector<Change> changes;
};

// The engine of the chunk store: no threads and no waiting of its own, so that
// a simulator drives the same code, with simulated disks, that the threads of
// ThreadedChunkStore drive in production. Every method may be called from any
// thread, but
//  - PrepareGroup, CommitGroup, CompleteGroup, MarkIdle: by one thread;
//  - Apply, Checkpoint, RemoveDeleted, FinishImport: by one thread;
//  - MakeSegment: by one thread.
// The lock is held for memory only, never while a file is touched.
class StoreCore {
 public:
  static absl::StatusOr<std::unique_ptr<StoreCore>> Open(FileSystem& fs, const Clock& clock,
                                                         std::string directory,
                                                         const StoreOptions& options);

  StoreIdentity identity() const;
  // Drawn when the directory was made.
  uint64_t disk_id() const;
  absl::Status SetIdentity(const StoreIdentity& identity);

  // --- The way of a change: Submit; PrepareGroup, CommitGroup, CompleteGroup.

  // True if nothing was queued before: the committing thread may be asleep.
  bool Submit(StoreChange change, uint64_t token);
  // Deletes a replica of which another directory has a newer one. Nobody is told.
  void Discard(ChunkHandle handle);
  // Takes what is queued, in order, as far as one group holds, and checks it.
  // Null: nothing queued, or it must wait (for a segment or for the applier).
  // One group at a time.
  std::unique_ptr<PendingGroup> PrepareGroup();
  // Makes it durable: one write, one sync. An error means the store failed.
  absl::Status CommitGroup(PendingGroup& group);
  // Makes it visible, and says what became of each change.
  std::vector<StoreCompletion> CompleteGroup(std::unique_ptr<PendingGroup> group,
                                             const absl::Status& committed);
  bool HasQueued() const;
  // Completes everything queued with this error.
  std::vector<StoreCompletion> RefuseQueued(const absl::Status& why);
  // Nothing came for a while: notes in the journal that all of it is durable.
  absl::Status MarkIdle();
  bool WantsMark() const { return journal_->WantsMark(); }
  // Replicas found damaged since the last call.
  struct DamageFound {
    ChunkHandle handle;
    std::string why;
  };
  std::vector<DamageFound> TakeDamageFound();
  bool HasDamageFound() const;
  // The error that made the store fail, or OK. Nothing becomes durable after it.
  absl::Status failure() const;

  // --- Reading.

  void SetCommitted(ChunkHandle handle, uint64_t length);
  absl::StatusOr<ReadResult> Read(ChunkHandle handle, uint64_t offset, uint32_t length,
                                  bool committed_only);
  absl::StatusOr<ReplicaState> State(ChunkHandle handle) const;
  std::optional<ReplicaState> StateWithoutMemory(ChunkHandle handle) const;
  bool Holds(ChunkHandle handle) const;
  // A create of this handle is refused.
  bool WasDeleted(ChunkHandle handle) const;
  std::vector<ReplicaState> List(ChunkHandle after, size_t limit) const;
  absl::StatusOr<uint32_t> PrefixCrc32c(ChunkHandle handle, uint64_t length);
  ChunkStore::Usage usage() const;

  // --- Background work.

  // Moves committed bytes to chunk files, of replicas with at least `least`
  // of them; if the bound on unapplied bytes is exceeded, all durable bytes
  // of all: a chunk file may hold bytes that are not committed, but no reader
  // is shown them.
  absl::Status Apply(uint64_t least);
  uint64_t unapplied_bytes() const;
  // Brings files and sidecars up to what is durable now, and forgets the
  // journal before it.
  absl::Status Checkpoint();
  bool CheckpointIsDue() const;
  absl::Status RemoveDeleted();
  bool HasRemovals() const;
  bool WantsSegment() const { return journal_->WantsSegment(); }
  absl::Status MakeSegment();
  // Looks how full the disk is, and whether the directory is still there.
  absl::Status RefreshSpace();

  // --- Imports: written beside, and taken in by the background thread.

  absl::Status BeginImport(ChunkHandle handle);
  void AbandonImport(ChunkHandle handle);
  // `data_path` holds exactly the replica's bytes, synced.
  absl::Status FinishImport(const Sidecar& sidecar, const std::string& data_path);

  // I/O errors make the store fail; a full disk does not.
  absl::Status FailUnlessFull(const absl::Status& status);
  FileSystem& fs() { return fs_; }
  const std::string& directory() const { return directory_; }

 private:
  struct Queued {
    JournalRecord record;
    uint64_t token = 0;
    bool internal = false;
  };
  // What a group does to one replica, beside what the replica says itself.
  struct Touch {
    bool appends = false;      // only appends; anything else is alone in its group
    bool in_place = false;     // the next may go in place
    uint64_t next_offset = 0;  // after them
    std::shared_ptr<StoredReplica> replica;
  };
  using Touched = absl::flat_hash_map<ChunkHandle, Touch>;

  using FanOuts = absl::flat_hash_set<uint32_t>;

  StoreCore(FileSystem& fs, std::string directory, const StoreOptions& options)
      : fs_(fs), directory_(std::move(directory)), options_(options), files_(fs, directory_) {}

  absl::Status MakeDirectory(const Clock& clock);
  absl::Status Load(const Clock& clock);

  std::shared_ptr<StoredReplica> Find(ChunkHandle handle) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // OK: the change may take place; `journaled` says whether it has to.
  absl::Status Check(PendingGroup::Change& change, Touched& touched)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckCreate(const CreateReplica& create, PendingGroup::Change& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckAppend(const AppendBatch& batch, PendingGroup::Change& change, Touch& touch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckConform(const ConformReplica& conform, PendingGroup::Change& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // It is large, and what comes before it is in the chunk file.
  bool GoesInPlace(const AppendBatch& batch) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SumChange(PendingGroup::Change& change);
  // Writes and syncs what the group appends in place. A change whose bytes could
  // not be written gets the reason as its status.
  absl::Status WriteInPlace(PendingGroup& group);
  absl::Status WriteRun(StoredReplica& replica, uint64_t offset,
                        std::span<const std::string_view> bytes);
  void CompleteChange(PendingGroup::Change& change, uint64_t sequence)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Status Fail(const absl::Status& why);
  void ReportDamage(ChunkHandle handle, const std::string& why);
  void DamageLocked(ChunkHandle handle, StoredReplica& replica, const std::string& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ApplyReplica(const ApplyPlan& plan, bool sync);
  absl::Status WriteData(ChunkHandle handle, std::vector<Sidecar>& sidecars, FanOuts& created);
  absl::Status WriteSidecar(const Sidecar& sidecar);
  absl::Status SyncFanOuts(const FanOuts& fan_outs);

  FileSystem& fs_;
  const std::string directory_;
  const StoreOptions options_;
  std::unique_ptr<FileSystem::Lock> directory_lock_;
  std::unique_ptr<Journal> journal_;  // synchronised by itself
  ChunkFiles files_;                  // synchronised by itself

  mutable absl::Mutex mutex_;
  IdentityFile identity_ ABSL_GUARDED_BY(mutex_);
  // Replicas are shared with plans that run without the lock, but touched
  // only under it.
  ReplicaMap replicas_ ABSL_GUARDED_BY(mutex_);
  Tombstones deleted_ ABSL_GUARDED_BY(mutex_);
  uint64_t highest_handle_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  Touched in_flight_ ABSL_GUARDED_BY(mutex_);  // by the pending group
  bool group_pending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<ChunkHandle> importing_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<ChunkHandle> to_apply_ ABSL_GUARDED_BY(mutex_);  // may have unapplied bytes
  absl::flat_hash_set<ChunkHandle> dirty_ ABSL_GUARDED_BY(mutex_);  // may be newer than the sidecar
  std::vector<ChunkHandle> removals_ ABSL_GUARDED_BY(mutex_);
  std::vector<DamageFound> damage_found_ ABSL_GUARDED_BY(mutex_);
  uint64_t unapplied_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t completed_ ABSL_GUARDED_BY(mutex_) = 0;  // sequence of the last visible group
  static constexpr uint64_t kNone = ~uint64_t{0};
  // The checkpoint file says that groups up to this need no replay.
  uint64_t checkpointed_ ABSL_GUARDED_BY(mutex_) = kNone;
  FileSystem::Space space_ ABSL_GUARDED_BY(mutex_);
  uint64_t taken_since_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes accepted since space_ was read
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
