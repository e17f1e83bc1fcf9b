#include "tests/sim/sim_chunk_store.h"

#include <utility>

#include "chunkserver/store/import.h"
#include "chunkserver/store/store_core.h"

namespace appendfs::sim {

SimChunkStore::SimChunkStore(Kernel& kernel, Host& host, std::unique_ptr<StoreCore> core,
                             StoreWitness witness)
    : kernel_(kernel), host_(host), core_(std::move(core)), witness_(std::move(witness)) {}

SimChunkStore::~SimChunkStore() = default;

StoreIdentity SimChunkStore::identity() const { return core_->identity(); }
absl::Status SimChunkStore::SetIdentity(const StoreIdentity& identity) {
  return core_->SetIdentity(identity);
}
void SimChunkStore::SetCommitted(ChunkHandle handle, uint64_t length) {
  core_->SetCommitted(handle, length);
  witness_.changed(handle);
}
absl::StatusOr<ReadResult> SimChunkStore::Read(ChunkHandle handle, uint64_t offset,
                                               uint32_t length) {
  return core_->Read(handle, offset, length, true);
}
absl::StatusOr<ReadResult> SimChunkStore::Fetch(ChunkHandle handle, uint64_t offset,
                                                uint32_t length) {
  return core_->Read(handle, offset, length, false);
}
absl::StatusOr<ReplicaState> SimChunkStore::State(ChunkHandle handle) const {
  return core_->State(handle);
}
std::vector<ReplicaState> SimChunkStore::List(ChunkHandle after, size_t limit) const {
  return core_->List(after, limit);
}
absl::StatusOr<uint32_t> SimChunkStore::PrefixCrc32c(ChunkHandle handle, uint64_t length) {
  return core_->PrefixCrc32c(handle, length);
}
ChunkStore::Usage SimChunkStore::usage() const { return core_->usage(); }

void SimChunkStore::Start(StoreListener& listener) {
  listener_ = &listener;
  Background();
  if (core_->HasQueued()) Schedule({});
}

void SimChunkStore::Submit(StoreChange change, uint64_t token) {
  if (const auto* gone = std::get_if<DeleteReplica>(&change)) {
    deletions_.insert(token);
    witness_.deleting(gone->handle);
  }
  core_->Submit(std::move(change), token);
  if (listener_ != nullptr && !scheduled_)
    Schedule(kernel_.Between(microseconds(0), microseconds(50)));
}

void SimChunkStore::Schedule(Duration delay) {
  scheduled_ = true;
  kernel_.After(delay, &host_, [this] { Commit(); });
}

void SimChunkStore::Commit() {
  scheduled_ = false;
  std::unique_ptr<PendingGroup> group = core_->PrepareGroup();
  if (group == nullptr) {
    if (core_->WantsSegment()) (void)core_->MakeSegment();
    if (core_->HasQueued()) {
      (void)core_->Apply(1);
      Schedule(milliseconds(2));
    }
    return TellNews();
  }
  idle_marked_ = false;
  scheduled_ = true;  // one at a time
  Duration disk = kernel_.Chance(0.02) ? kernel_.Between(milliseconds(1), milliseconds(60))
                                       : kernel_.Between(microseconds(80), microseconds(300));
  const bool slow = kernel_.now() < host_.slow_disk_until;
  if (slow) disk = kernel_.Between(milliseconds(50), milliseconds(200));
  // The sync may have ended long before anybody hears of it, or not begun when
  // the power fails.
  const Duration before = !slow && kernel_.Chance(0.5) ? Duration{} : disk;
  kernel_.After(before, &host_, [this, group = std::move(group), rest = disk - before]() mutable {
    absl::Status status = core_->CommitGroup(*group);
    witness_.wrote();
    kernel_.After(rest, &host_, [this, group = std::move(group), status]() mutable {
      std::vector<StoreCompletion> completions = core_->CompleteGroup(std::move(group), status);
      if (status.ok()) ++groups_;
      for (const StoreCompletion& completion : completions) {
        witness_.changed(completion.handle);
        if (deletions_.erase(completion.token) > 0 && completion.status.ok())
          witness_.deleted(completion.handle);
      }
      if (!completions.empty()) listener_->OnDurable(completions);
      TellNews();
      scheduled_ = false;
      if (core_->HasQueued()) Schedule({});
    });
  });
}

void SimChunkStore::Background() {
  kernel_.After(kernel_.Between(milliseconds(20), milliseconds(500)), &host_, [this] {
    absl::Status status = core_->Apply(kernel_.Chance(0.5) ? 1 : 512);
    if (status.ok()) status = core_->RefreshSpace();
    if (status.ok() && core_->HasRemovals()) status = core_->RemoveDeleted();
    if (status.ok() && (core_->CheckpointIsDue() || kernel_.Chance(0.15)))
      status = core_->Checkpoint();
    if (core_->WantsSegment()) (void)core_->MakeSegment();
    if (!scheduled_ && !std::exchange(idle_marked_, true)) (void)core_->MarkIdle();
    TellNews();
    witness_.wrote();
    Background();
  });
}

void SimChunkStore::TellNews() {
  for (const StoreCore::DamageFound& found : core_->TakeDamageFound())
    witness_.changed(found.handle), listener_->OnReplicaDamaged(found.handle, found.why);
  if (!core_->failure().ok() && !std::exchange(failure_told_, true))
    listener_->OnStoreFailed(core_->failure());
}

absl::StatusOr<std::unique_ptr<ChunkStore::Import>> SimChunkStore::BeginImport(
    const ReplicaIdentity& identity, Epoch epoch) {
  return ReplicaImport::Begin(*core_, identity, epoch, [this, handle = identity.handle](auto task) {
    absl::Status status = task();
    witness_.changed(handle);
    return status;
  });
}

}  // namespace appendfs::sim
