#include "chunkserver/store/threaded_chunk_store.h"

#include <glog/logging.h>

#include <utility>

#include "chunkserver/store/import.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

constexpr Duration kIdle = milliseconds(50);  // then the journal says that it is durable
constexpr Duration kLongIdle = milliseconds(1000);
constexpr Duration kBackgroundTick = milliseconds(500);
constexpr int kTicksToApplyAll = 10;            // small leftovers may wait as long
constexpr uint64_t kWorthApplying = 256 << 10;  // bytes of one replica
constexpr uint64_t kWakeBackground = 8 << 20;   // bytes unapplied
constexpr Duration kSegmentRetry = milliseconds(1000);
constexpr int kMostRoundsStuck = 200;  // of kIdle, when closing

}  // namespace

absl::StatusOr<std::unique_ptr<ChunkStore>> ChunkStore::Open(FileSystem& fs, const Clock& clock,
                                                             std::string directory,
                                                             const StoreOptions& options) {
  return ThreadedChunkStore::Open(fs, clock, std::move(directory), options);
}

absl::StatusOr<std::unique_ptr<ThreadedChunkStore>> ThreadedChunkStore::Open(
    FileSystem& fs, const Clock& clock, std::string directory, const StoreOptions& options) {
  APPENDFS_ASSIGN_OR_RETURN(auto core, StoreCore::Open(fs, clock, std::move(directory), options));
  return std::make_unique<ThreadedChunkStore>(std::move(core), clock, options.observer);
}

ThreadedChunkStore::~ThreadedChunkStore() { Stop(); }

void ThreadedChunkStore::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    if (!started_ || std::exchange(commit_stops_, true)) return;
  }
  commit_bell_.Ring();
  commit_thread_.join();  // the other two still make room for what is left to commit
  {
    absl::MutexLock lock(&mutex_);
    background_stops_ = true;
  }
  background_bell_.Ring();
  background_thread_.join();
  segment_bell_.Ring();
  segment_thread_.join();
}

void ThreadedChunkStore::Start(StoreListener& listener) {
  listener_ = &listener;
  absl::MutexLock lock(&mutex_);
  started_ = true;
  commit_thread_ = std::thread([this] { CommitLoop(); });
  background_thread_ = std::thread([this] { BackgroundLoop(); });
  segment_thread_ = std::thread([this] { SegmentLoop(); });
}

void ThreadedChunkStore::Submit(StoreChange change, uint64_t token) {
  if (core_->Submit(std::move(change), token)) commit_bell_.Ring();
}

absl::StatusOr<ReadResult> ThreadedChunkStore::Read(ChunkHandle handle, uint64_t offset,
                                                    uint32_t length) {
  auto result = core_->Read(handle, offset, length, /*committed_only=*/true);
  if (!result.ok()) commit_bell_.Ring();  // it tells of damage
  return result;
}

absl::StatusOr<ReadResult> ThreadedChunkStore::Fetch(ChunkHandle handle, uint64_t offset,
                                                     uint32_t length) {
  auto result = core_->Read(handle, offset, length, /*committed_only=*/false);
  if (!result.ok()) commit_bell_.Ring();
  return result;
}

std::vector<DiskState> ThreadedChunkStore::disks() const {
  const Usage usage = core_->usage();
  return {{.directory = core_->directory(),
           .id = core_->disk_id(),
           .total_bytes = usage.total_bytes,
           .available_bytes = usage.available_bytes,
           .chunks = usage.chunks,
           .failure = std::string(core_->failure().message())}};
}

absl::StatusOr<std::unique_ptr<ChunkStore::Import>> ThreadedChunkStore::BeginImport(
    const ReplicaIdentity& identity, Epoch epoch) {
  return ReplicaImport::Begin(
      *core_, identity, epoch,
      [this](absl::AnyInvocable<absl::Status()> task) { return RunInBackground(std::move(task)); });
}

absl::Status ThreadedChunkStore::RunInBackground(absl::AnyInvocable<absl::Status()> task) {
  absl::Status result;
  bool done = false;
  {
    absl::MutexLock lock(&mutex_);
    if (started_) {
      if (background_stops_) return MakeError(v1::SHUTTING_DOWN, "the chunk store is closing");
      tasks_.push_back({std::move(task), &result, &done});
      background_bell_.Ring();
      mutex_.Await(absl::Condition(&done));
      return result;
    }
  }
  return task();
}

void ThreadedChunkStore::CommitLoop() {
  int rounds_stuck = 0;
  for (;;) {
    bool committed = false;
    while (CommitOne()) committed = true;
    TellDamage();
    if (!core_->failure().ok()) TellFailure();
    const bool waiting = core_->HasQueued();
    {
      absl::MutexLock lock(&mutex_);
      if (commit_stops_ && !waiting) return;
      rounds_stuck = commit_stops_ && !committed ? rounds_stuck + 1 : 0;
    }
    if (rounds_stuck > kMostRoundsStuck) {
      auto refused = core_->RefuseQueued(
          MakeError(v1::NO_SPACE, "the chunk store is closing, and its journal has no room"));
      if (!refused.empty()) listener_->OnDurable(refused);
      return;
    }
    // What could not be taken waits for a segment, or for room in memory.
    if (waiting || core_->WantsSegment()) segment_bell_.Ring();
    if (waiting) background_bell_.Ring();
    const bool idle_next = waiting || core_->WantsMark();
    if (!commit_bell_.Wait(idle_next ? kIdle : kLongIdle))
      core_->MarkIdle().IgnoreError();  // told in the next round
  }
}

bool ThreadedChunkStore::CommitOne() {
  std::unique_ptr<PendingGroup> group = core_->PrepareGroup();
  if (!group) return false;
  absl::Status status = CommitGroup(*group);
  std::vector<StoreCompletion> completions = core_->CompleteGroup(std::move(group), status);
  if (!status.ok()) TellFailure();
  if (!completions.empty()) listener_->OnDurable(completions);
  if (core_->WantsSegment()) segment_bell_.Ring();
  if (core_->unapplied_bytes() > kWakeBackground || core_->CheckpointIsDue())
    background_bell_.Ring();
  return true;
}

absl::Status ThreadedChunkStore::CommitGroup(PendingGroup& group) {
  if (observer_ == nullptr) return core_->CommitGroup(group);
  StoreObserver::Group seen;
  for (const PendingGroup::Change& change : group.changes) {
    if (!change.journaled) continue;
    ++seen.changes;
    if (const AppendBatch* batch = BatchOf(change.record)) seen.bytes += batch->payload.size();
  }
  const Duration start = clock_.Monotonic();
  absl::Status status = core_->CommitGroup(group);
  seen.took = clock_.Monotonic() - start;
  if (status.ok() && seen.changes > 0) observer_->OnGroup(seen);
  return status;
}

void ThreadedChunkStore::BackgroundLoop() {
  int ticks = 0;
  for (bool stop = false; !stop;) {
    const bool rung = background_bell_.Wait(kBackgroundTick);
    if (!rung) ++ticks;
    {
      absl::MutexLock lock(&mutex_);
      stop = background_stops_;
    }
    RunTasks();
    const uint64_t unapplied = core_->unapplied_bytes();
    absl::Status status = core_->Apply(ticks >= kTicksToApplyAll ? 1 : kWorthApplying);
    if (ticks >= kTicksToApplyAll) ticks = 0;
    if (status.ok()) status = core_->RefreshSpace();
    if (status.ok() && core_->HasRemovals()) status = core_->RemoveDeleted();
    const bool checkpoint = status.ok() && (stop || core_->CheckpointIsDue());
    if (checkpoint) status = core_->Checkpoint();
    if (HasReason(status, v1::NO_SPACE)) {
      LOG_EVERY_N(WARNING, 100) << "chunk files cannot be written: " << status.message();
    }
    // The commit thread rings when it is stuck: answered without having made
    // room, the two would ring each other for as long as it takes.
    const bool room = checkpoint || core_->unapplied_bytes() < unapplied;
    const bool retry = core_->HasQueued() && (room || !rung);
    // The listener is told by the commit thread only.
    if (retry || core_->HasDamageFound() || !core_->failure().ok()) commit_bell_.Ring();
  }
  RunTasks();
}

void ThreadedChunkStore::RunTasks() {
  std::deque<Task> tasks;
  {
    absl::MutexLock lock(&mutex_);
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) {
    absl::Status result = task.work();
    absl::MutexLock lock(&mutex_);
    *task.result = std::move(result);
    *task.done = true;
  }
}

void ThreadedChunkStore::SegmentLoop() {
  for (;;) {
    segment_bell_.Wait(kSegmentRetry);
    {
      absl::MutexLock lock(&mutex_);
      if (background_stops_) return;
    }
    if (!core_->failure().ok() || !core_->WantsSegment()) continue;
    absl::Status status = core_->MakeSegment();
    if (HasReason(status, v1::NO_SPACE)) {
      LOG_EVERY_N(WARNING, 100) << "no room for a journal segment: " << status.message();
    }
    if (status.ok() || !core_->failure().ok()) commit_bell_.Ring();
  }
}

void ThreadedChunkStore::TellDamage() {
  for (const StoreCore::DamageFound& found : core_->TakeDamageFound())
    listener_->OnReplicaDamaged(found.handle, found.why);
}

void ThreadedChunkStore::TellFailure() {
  if (std::exchange(failure_told_, true)) return;
  listener_->OnStoreFailed(core_->failure());
}

}  // namespace appendfs
