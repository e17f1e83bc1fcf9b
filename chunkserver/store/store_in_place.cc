// StoreCore: large appends, whose bytes go straight to the chunk file and only
// their sums through the journal.

#include <map>
#include <utility>

#include "chunkserver/store/layout.h"
#include "chunkserver/store/store_core.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {

bool StoreCore::GoesInPlace(const AppendBatch& batch) const {
  if (batch.payload.size() < options_.in_place_bytes) return false;
  if (auto found = in_flight_.find(batch.handle); found != in_flight_.end())
    return found->second.in_place;
  auto replica = Find(batch.handle);
  return replica && replica->TakesInPlace();
}

absl::Status StoreCore::WriteInPlace(PendingGroup& group) {
  // Appends to one replica lie behind each other: one write, one sync.
  struct Run {
    std::vector<PendingGroup::Change*> changes;
    std::vector<std::string_view> bytes;
  };
  std::map<ChunkHandle, Run> runs;
  for (PendingGroup::Change& change : group.changes) {
    const auto* append = std::get_if<InPlaceRecord>(&change.record);
    if (!append || !change.journaled) continue;
    Run& run = runs[append->batch.handle];
    if (!run.changes.empty() && !run.changes.back()->status.ok()) continue;  // follows nothing
    run.changes.push_back(&change);
    if (change.status.ok()) run.bytes.push_back(append->batch.payload.view());
  }
  for (auto& [handle, run] : runs) {
    if (run.bytes.empty()) continue;
    const PendingGroup::Change& first = *run.changes.front();
    absl::Status status =
        WriteRun(*first.replica, std::get<InPlaceRecord>(first.record).batch.offset, run.bytes);
    APPENDFS_RETURN_IF_ERROR(failure());
    // If it did not: those behind the first are refused because they follow it.
    run.changes.front()->status = std::move(status);
  }
  return absl::OkStatus();
}

absl::Status StoreCore::WriteRun(StoredReplica& replica, uint64_t offset,
                                 std::span<const std::string_view> bytes) {
  const ChunkHandle handle = replica.identity().handle;
  auto file = files_.Open(handle, /*create=*/offset == 0);
  if (HasReason(file.status(), v1::NO_ENTRY)) {
    std::string why(FromAbsl(file.status().message()));
    ReportDamage(handle, why);
    return MakeError(v1::REPLICA_DAMAGED, StrCat("chunk=", handle, " ", why));
  }
  absl::Status status = file.status();
  if (status.ok()) status = (*file)->WriteAside(offset, bytes);
  if (status.ok() && !PLANTED(kRecordBeforeBytes)) status = (*file)->Sync();
  bool named;
  {
    absl::MutexLock lock(&mutex_);
    named = replica.file_is_named();
  }
  if (status.ok() && !named) status = SyncFanOuts({layout::FanOutOf(handle)});
  status = FailUnlessFull(status);
  absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    replica.SetFileNamed();
  } else {
    replica.SetFileLength(offset + 1);  // so much at least may be there, of no meaning
    to_apply_.insert(handle);
  }
  return status;
}

}  // namespace appendfs
