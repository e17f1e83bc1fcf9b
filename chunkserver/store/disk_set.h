#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/store/threaded_chunk_store.h"

namespace appendfs {

// Several data directories, one per disk, as one chunk store. Each is a store
// of its own, with its own journal and threads; a replica lies whole in one of
// them, and this knows in which. A new one goes to the emptiest.
//
// A directory that fails is retired alone: its replicas are unknown from then
// on, the listener is told which they were, and the others go on. One that
// cannot be opened counts as retired from the start. Retired directories come
// back with the next start, if they can be opened then.
//
// Thread-safe. The listener is called by the journal threads of all
// directories, which may be at once.
class DiskSet final : public ChunkStore {
 public:
  // At least one directory must open. Errors beside those of ChunkStore::Open:
  // WRONG_SERVER or WRONG_CLUSTER if the directories belong to different ones,
  // INVALID if one is named twice. Errors that are a mistake of the operator's
  // (these, VERSION_MISMATCH, a directory in use) concern the whole.
  static absl::StatusOr<std::unique_ptr<ChunkStore>> Open(
      FileSystem& fs, const Clock& clock, const std::vector<std::string>& directories,
      const StoreOptions& options);
  ~DiskSet() override;

  StoreIdentity identity() const override;
  absl::Status SetIdentity(const StoreIdentity& identity) override;
  void Start(StoreListener& listener) override;
  void Submit(StoreChange change, uint64_t token) override;
  void SetCommitted(ChunkHandle handle, uint64_t length) override;
  absl::StatusOr<ReadResult> Read(ChunkHandle handle, uint64_t offset, uint32_t length) override;
  absl::StatusOr<ReadResult> Fetch(ChunkHandle handle, uint64_t offset, uint32_t length) override;
  absl::StatusOr<ReplicaState> State(ChunkHandle handle) const override;
  std::vector<ReplicaState> List(ChunkHandle after, size_t limit) const override;
  absl::StatusOr<uint32_t> PrefixCrc32c(ChunkHandle handle, uint64_t length) override;
  absl::StatusOr<std::unique_ptr<Import>> BeginImport(const ReplicaIdentity& identity,
                                                      Epoch epoch) override;
  Usage usage() const override;
  std::vector<DiskState> disks() const override;

 private:
  class Disk;
  class RoutedImport;

  DiskSet() = default;
  absl::Status OpenAll(FileSystem& fs, const Clock& clock,
                       const std::vector<std::string>& directories, const StoreOptions& options);
  absl::Status AgreeOnIdentity();
  void FindReplicas();
  void ChooseBetween(ChunkHandle handle, Disk& known, Disk& other)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void SetRoute(ChunkHandle handle, Disk& disk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EraseRoute(ChunkHandle handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Disk* Find(ChunkHandle handle) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Disk*> Holder(ChunkHandle handle) const;
  // Where a new replica goes; null if no disk is left.
  Disk* Emptiest() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Whom to ask about a handle nobody holds: it refuses, or remembers.
  Disk& AnyDisk() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  Disk& DiskFor(const StoreChange& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A change of this handle is done, or given up: does the disk hold it now?
  void Settle(ChunkHandle handle, Disk& disk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Retire(Disk& disk, const absl::Status& why);

  StoreListener* listener_ = nullptr;  // set by Start
  mutable absl::Mutex mutex_;
  absl::btree_map<ChunkHandle, Disk*> routes_ ABSL_GUARDED_BY(mutex_);
  // In the order given; does not change once opened.
  std::vector<std::unique_ptr<Disk>> disks_;
};

}  // namespace appendfs
