// StoreCore: what happens behind the journal. Chunk files, sidecars, removals.

#include <algorithm>
#include <utility>

#include "chunkserver/store/layout.h"
#include "chunkserver/store/store_core.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {

absl::Status StoreCore::FailUnlessFull(const absl::Status& status) {
  if (status.ok() || HasReason(status, v1::NO_SPACE)) return status;
  return Fail(status);
}

uint64_t StoreCore::unapplied_bytes() const {
  absl::MutexLock lock(&mutex_);
  return unapplied_bytes_;
}

absl::Status StoreCore::Apply(uint64_t least) {
  APPENDFS_RETURN_IF_ERROR(failure());
  std::vector<ChunkHandle> handles;
  {
    absl::MutexLock lock(&mutex_);
    handles.assign(to_apply_.begin(), to_apply_.end());
  }
  for (ChunkHandle handle : handles) {
    ApplyPlan plan;
    {
      absl::MutexLock lock(&mutex_);
      auto replica = Find(handle);
      if (!replica || replica->damaged()) {
        to_apply_.erase(handle);
        continue;
      }
      const bool urgent = unapplied_bytes_ > options_.max_unapplied_bytes / 2;
      const uint64_t to = urgent ? replica->length() : replica->committed();
      const bool enough = to >= replica->applied() + least;
      if (!urgent && !enough && !replica->sealed() && !replica->file_too_long()) continue;
      plan = PlanApply(*replica, std::max(to, replica->applied()));
    }
    APPENDFS_RETURN_IF_ERROR(ApplyReplica(plan, /*sync=*/false));
    absl::MutexLock lock(&mutex_);
    if (auto replica = Find(handle);
        !replica || (replica->unapplied() == 0 && !replica->file_too_long()))
      to_apply_.erase(handle);
  }
  return absl::OkStatus();
}

absl::Status StoreCore::ApplyReplica(const ApplyPlan& plan, bool sync) {
  if (plan.empty() && !sync) return absl::OkStatus();
  auto file = files_.Open(plan.handle, /*create=*/plan.from == 0);
  if (HasReason(file.status(), v1::NO_ENTRY)) {
    ReportDamage(plan.handle, std::string(FromAbsl(file.status().message())));
    return absl::OkStatus();
  }
  absl::Status status = file.status();
  if (status.ok()) status = plan.Run(**file);
  if (status.ok() && sync) status = (*file)->Sync();
  APPENDFS_RETURN_IF_ERROR(FailUnlessFull(status));
  absl::MutexLock lock(&mutex_);
  if (auto replica = Find(plan.handle)) {
    const uint64_t before = replica->unapplied();
    FinishApply(plan, *replica);
    unapplied_bytes_ -= before - replica->unapplied();
  }
  return absl::OkStatus();
}

bool StoreCore::CheckpointIsDue() const {
  return journal_->full() || journal_->live_bytes() >= options_.max_journal_bytes / 2;
}

absl::Status StoreCore::Checkpoint() {
  APPENDFS_RETURN_IF_ERROR(failure());
  uint64_t upto;
  std::vector<ChunkHandle> handles;
  {
    absl::MutexLock lock(&mutex_);
    upto = completed_;
    handles.assign(dirty_.begin(), dirty_.end());
    if (upto == checkpointed_ && handles.empty() && removals_.empty()) return absl::OkStatus();
  }
  // A name that a later step relies on is durable before it: first the bytes
  // and the names of new chunk files, then the sidecars that vouch for them.
  std::vector<Sidecar> sidecars;
  FanOuts fan_outs;
  for (ChunkHandle handle : handles)
    APPENDFS_RETURN_IF_ERROR(WriteData(handle, sidecars, fan_outs));
  APPENDFS_RETURN_IF_ERROR(SyncFanOuts(fan_outs));
  fan_outs.clear();
  for (const Sidecar& sidecar : sidecars) {
    APPENDFS_RETURN_IF_ERROR(FailUnlessFull(WriteSidecar(sidecar)));
    fan_outs.insert(layout::FanOutOf(sidecar.identity.handle));
  }
  APPENDFS_RETURN_IF_ERROR(SyncFanOuts(fan_outs));
  CheckpointFile file;
  {
    absl::MutexLock lock(&mutex_);
    for (const Sidecar& sidecar : sidecars)
      if (auto replica = Find(sidecar.identity.handle)) replica->SetCheckpointed(sidecar);
    for (ChunkHandle handle : handles)
      if (auto replica = Find(handle); !replica || !replica->dirty()) dirty_.erase(handle);
  }
  APPENDFS_RETURN_IF_ERROR(RemoveDeleted());
  {
    absl::MutexLock lock(&mutex_);
    file.first_live_group = upto + 1;
    file.highest_handle = highest_handle_;
    file.deleted = deleted_;
  }
  APPENDFS_RETURN_IF_ERROR(
      FailUnlessFull(ReplaceFile(fs_, layout::CheckpointPath(directory_), EncodeCheckpoint(file))));
  {
    absl::MutexLock lock(&mutex_);
    checkpointed_ = upto;
  }
  journal_->Trim(upto + 1);
  return absl::OkStatus();
}

absl::Status StoreCore::WriteData(ChunkHandle handle, std::vector<Sidecar>& sidecars,
                                  FanOuts& created) {
  for (;;) {
    ApplyPlan plan;
    Sidecar sidecar;
    bool named = false;
    {
      absl::MutexLock lock(&mutex_);
      auto replica = Find(handle);
      if (!replica || !replica->dirty()) return absl::OkStatus();
      named = replica->file_is_named();
      sidecar = replica->ToSidecar(identity_.identity.cluster_uuid);
      if (!replica->damaged()) plan = PlanApply(*replica, replica->length());
    }
    if (!sidecar.damaged && (sidecar.length > 0 || plan.truncate)) {
      if (!named) created.insert(layout::FanOutOf(handle));
      APPENDFS_RETURN_IF_ERROR(ApplyReplica(plan, /*sync=*/!PLANTED(kCheckpointUnsynced)));
      absl::MutexLock lock(&mutex_);
      auto replica = Find(handle);
      if (replica && replica->damaged()) continue;  // by this; the sidecar has to say so
    }
    sidecars.push_back(std::move(sidecar));
    return absl::OkStatus();
  }
}

absl::Status StoreCore::WriteSidecar(const Sidecar& sidecar) {
  const std::string path = layout::SidecarPath(directory_, sidecar.identity.handle);
  const std::string temporary = StrCat(path, ".tmp");
  APPENDFS_ASSIGN_OR_RETURN(auto file, fs_.Open(temporary, FileSystem::OpenMode::kCreateOrOpen));
  const std::string content = EncodeSidecar(sidecar);
  APPENDFS_RETURN_IF_ERROR(file->Truncate(0));
  APPENDFS_RETURN_IF_ERROR(file->Write(0, content));
  APPENDFS_RETURN_IF_ERROR(file->Sync());
  return fs_.Rename(temporary, path);
}

absl::Status StoreCore::SyncFanOuts(const FanOuts& fan_outs) {
  if (PLANTED(kNoDirectorySync)) return absl::OkStatus();
  for (uint32_t index : fan_outs)
    APPENDFS_RETURN_IF_ERROR(
        FailUnlessFull(fs_.SyncDirectory(layout::FanOutDirectory(directory_, index))));
  return absl::OkStatus();
}

bool StoreCore::HasRemovals() const {
  absl::MutexLock lock(&mutex_);
  return !removals_.empty();
}

absl::Status StoreCore::RemoveDeleted() {
  APPENDFS_RETURN_IF_ERROR(failure());
  std::vector<ChunkHandle> handles;
  {
    absl::MutexLock lock(&mutex_);
    for (ChunkHandle handle : std::exchange(removals_, {}))
      if (!replicas_.contains(handle)) handles.push_back(handle);
  }
  // The deletion stays in the journal until all of this is durable.
  FanOuts fan_outs;
  for (ChunkHandle handle : handles) {
    files_.Forget(handle);
    for (const std::string& path :
         {layout::SidecarPath(directory_, handle), layout::DataPath(directory_, handle)}) {
      absl::Status status = fs_.Remove(path);
      if (!status.ok() && !HasReason(status, v1::NO_ENTRY)) return Fail(status);
    }
    fan_outs.insert(layout::FanOutOf(handle));
  }
  return SyncFanOuts(fan_outs);
}

absl::Status StoreCore::BeginImport(ChunkHandle handle) {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  auto replica = Find(handle);
  if (replica && !replica->damaged())
    return MakeError(v1::ENTRY_EXISTS, StrCat("chunk=", handle, " is held here already"));
  if (in_flight_.contains(handle) || !importing_.insert(handle).second)
    return MakeError(v1::NOT_READY, StrCat("chunk=", handle, " is being changed"));
  return absl::OkStatus();
}

void StoreCore::AbandonImport(ChunkHandle handle) {
  absl::MutexLock lock(&mutex_);
  importing_.erase(handle);
}

absl::Status StoreCore::FinishImport(const Sidecar& from, const std::string& data_path) {
  const ChunkHandle handle = from.identity.handle;
  Sidecar sidecar = from;
  // Files of a deleted replica of this handle must be gone first.
  APPENDFS_RETURN_IF_ERROR(RemoveDeleted());
  {
    absl::MutexLock lock(&mutex_);
    // No group that names this handle is under way since BeginImport.
    sidecar.sequence = completed_;
    sidecar.cluster_uuid = identity_.identity.cluster_uuid;
  }
  files_.Forget(handle);
  APPENDFS_RETURN_IF_ERROR(
      FailUnlessFull(fs_.Rename(data_path, layout::DataPath(directory_, handle))));
  APPENDFS_RETURN_IF_ERROR(SyncFanOuts({layout::FanOutOf(handle)}));
  APPENDFS_RETURN_IF_ERROR(FailUnlessFull(WriteSidecar(sidecar)));
  APPENDFS_RETURN_IF_ERROR(SyncFanOuts({layout::FanOutOf(handle)}));
  absl::MutexLock lock(&mutex_);
  replicas_[handle] = std::make_shared<StoredReplica>(sidecar);
  highest_handle_ = std::max(highest_handle_, handle.value());
  deleted_.Forget(handle);
  return absl::OkStatus();
}

}  // namespace appendfs
