#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/store/chunk_store.h"
#include "chunkserver/store/store_core.h"

namespace appendfs {

// Wakes one thread. A wake-up that comes before the wait is not lost.
class Doorbell {
 public:
  void Ring() {
    absl::MutexLock lock(&mutex_);
    rung_ = true;
    bell_.Signal();
  }
  // False: nobody rang within `timeout`.
  bool Wait(Duration timeout) {
    absl::MutexLock lock(&mutex_);
    const absl::Time deadline = absl::Now() + absl::FromChrono(timeout);
    while (!rung_)
      if (bell_.WaitWithDeadline(&mutex_, deadline)) break;
    return std::exchange(rung_, false);
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar bell_;
  bool rung_ ABSL_GUARDED_BY(mutex_) = false;
};

// The chunk store of production: StoreCore with three threads around it. One
// commits groups and tells the listener; one moves bytes to chunk files,
// writes checkpoints and removes files; one makes journal segments ahead of
// their use.
class ThreadedChunkStore final : public ChunkStore {
 public:
  ThreadedChunkStore(std::unique_ptr<StoreCore> core, const Clock& clock, StoreObserver* observer)
      : core_(std::move(core)), clock_(clock), observer_(observer) {}
  ~ThreadedChunkStore() override;
  static absl::StatusOr<std::unique_ptr<ThreadedChunkStore>> Open(FileSystem& fs,
                                                                  const Clock& clock,
                                                                  std::string directory,
                                                                  const StoreOptions& options);
  // What the destructor does: completes what was submitted, stops the threads.
  void Stop();

  StoreIdentity identity() const override { return core_->identity(); }
  absl::Status SetIdentity(const StoreIdentity& identity) override {
    return core_->SetIdentity(identity);
  }
  void Start(StoreListener& listener) override;
  void Submit(StoreChange change, uint64_t token) override;
  void SetCommitted(ChunkHandle handle, uint64_t length) override {
    core_->SetCommitted(handle, length);
  }
  absl::StatusOr<ReadResult> Read(ChunkHandle handle, uint64_t offset, uint32_t length) override;
  absl::StatusOr<ReadResult> Fetch(ChunkHandle handle, uint64_t offset, uint32_t length) override;
  absl::StatusOr<ReplicaState> State(ChunkHandle handle) const override {
    return core_->State(handle);
  }
  std::vector<ReplicaState> List(ChunkHandle after, size_t limit) const override {
    return core_->List(after, limit);
  }
  absl::StatusOr<uint32_t> PrefixCrc32c(ChunkHandle handle, uint64_t length) override {
    return core_->PrefixCrc32c(handle, length);
  }
  absl::StatusOr<std::unique_ptr<Import>> BeginImport(const ReplicaIdentity& identity,
                                                      Epoch epoch) override;
  Usage usage() const override { return core_->usage(); }
  std::vector<DiskState> disks() const override;

  uint64_t disk_id() const { return core_->disk_id(); }
  bool Holds(ChunkHandle handle) const { return core_->Holds(handle); }
  bool WasDeleted(ChunkHandle handle) const { return core_->WasDeleted(handle); }
  std::optional<ReplicaState> StateWithoutMemory(ChunkHandle handle) const {
    return core_->StateWithoutMemory(handle);
  }
  void Discard(ChunkHandle handle) {
    core_->Discard(handle);
    commit_bell_.Ring();
  }

  // Runs `task` on the background thread (before Start: here), and waits.
  absl::Status RunInBackground(absl::AnyInvocable<absl::Status()> task);

 private:
  struct Task {
    absl::AnyInvocable<absl::Status()> work;
    absl::Status* result;
    bool* done;
  };

  void CommitLoop();
  bool CommitOne();  // false: nothing to commit now
  absl::Status CommitGroup(PendingGroup& group);
  void BackgroundLoop();
  void RunTasks();
  void SegmentLoop();
  void TellDamage();
  void TellFailure();

  const std::unique_ptr<StoreCore> core_;
  const Clock& clock_;
  StoreObserver* const observer_;      // or null
  StoreListener* listener_ = nullptr;  // set by Start; called by the commit thread only
  bool failure_told_ = false;          // by the commit thread
  std::thread commit_thread_, background_thread_, segment_thread_;
  Doorbell commit_bell_, background_bell_, segment_bell_;

  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool commit_stops_ ABSL_GUARDED_BY(mutex_) = false;
  bool background_stops_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
