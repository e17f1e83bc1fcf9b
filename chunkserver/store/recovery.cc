#include "chunkserver/store/recovery.h"

#include <algorithm>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "chunkserver/store/apply_plan.h"
#include "chunkserver/store/layout.h"
#include "common/crc32c.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

class Recovery {
 public:
  Recovery(FileSystem& fs, const std::string& directory, Journal& journal,
           const RecoverStoreOptions& options)
      : fs_(fs), directory_(directory), journal_(journal), options_(options) {}

  absl::StatusOr<RecoveredStore> Run() {
    const bool known = out_.checkpoint_known = ReadCheckpoint();
    APPENDFS_RETURN_IF_ERROR(LoadSidecars());
    uint64_t durable = out_.checkpoint.first_live_group - 1;
    for (const auto& [handle, replica] : out_.replicas)
      durable = std::max(durable, replica->checkpointed());
    JournalScan scan = journal_.Scan(known ? out_.checkpoint.first_live_group : 1);
    durable = std::max(durable, scan.claimed_durable);
    if (known) {
      APPENDFS_RETURN_IF_ERROR(Replay(scan, durable));
    } else {
      // Nobody knows which groups count: the journal is lost as a whole.
      DamageOpenReplicas(std::numeric_limits<uint64_t>::max(), "the checkpoint file is unreadable");
      // So are the deletions: what is not here counts as deleted.
      out_.checkpoint.deleted.RaiseTo(ChunkHandle(out_.checkpoint.highest_handle + 1));
      last_ = durable;
    }
    JudgeFiles();
    out_.previous_sequence = std::max(last_, durable);
    out_.next_sequence = std::max(out_.previous_sequence, scan.highest_sequence) + 1;
    return std::move(out_);
  }

 private:
  bool ReadCheckpoint();
  absl::Status LoadSidecars();
  absl::Status LoadFanOut(const std::string& path);
  void LoadSidecar(ChunkHandle handle, const std::string& path);

  absl::Status Replay(const JournalScan& scan, uint64_t durable);
  absl::Status ReplayGroup(const GroupRef& group, bool was_durable, bool& torn);
  void ReplayRecord(const JournalRecord& record, uint64_t sequence);
  absl::Status LimitUnapplied();
  void JudgeFile(ChunkHandle handle, StoredReplica& replica, bool there);
  void JudgeFiles();

  StoredReplica* Find(ChunkHandle handle) {
    auto found = out_.replicas.find(handle);
    return found == out_.replicas.end() ? nullptr : found->second.get();
  }
  StoredReplica& Make(ChunkHandle handle) {
    auto& replica = out_.replicas[handle];
    replica = std::make_shared<StoredReplica>();
    replica->Apply(CreateReplica{.identity = {.handle = handle}}, 0);
    out_.checkpoint.highest_handle = std::max(out_.checkpoint.highest_handle, handle.value());
    return *replica;
  }
  // Of replicas whose sidecars do not contain journal group `sequence`. The
  // sealed ones do not change any more: what is lost cannot concern them.
  void DamageOpenReplicas(uint64_t sequence, const std::string& why) {
    out_.problems.push_back(why);
    for (auto& [handle, replica] : out_.replicas)
      if (!replica->sealed() && replica->checkpointed() < sequence) replica->Damage(why);
  }

  FileSystem& fs_;
  const std::string& directory_;
  Journal& journal_;
  const RecoverStoreOptions& options_;

  RecoveredStore out_;
  absl::flat_hash_set<ChunkHandle> data_files_;
  uint64_t last_ = 0;  // sequence of the last group that counts
  uint64_t unapplied_ = 0;
};

bool Recovery::ReadCheckpoint() {
  const std::string path = layout::CheckpointPath(directory_);
  auto content = ReadWholeFile(fs_, path);
  if (content.ok()) {
    auto file = DecodeCheckpoint(*content, path);
    if (file.ok()) {
      out_.checkpoint = *std::move(file);
      return true;
    }
    out_.problems.emplace_back(file.status().message());
  } else {
    out_.problems.emplace_back(content.status().message());
  }
  return false;
}

absl::Status Recovery::LoadSidecars() {
  for (uint32_t i = 0; i < layout::kFanOut; ++i)
    APPENDFS_RETURN_IF_ERROR(LoadFanOut(layout::FanOutDirectory(directory_, i)));
  if (!out_.replicas.empty())
    out_.checkpoint.highest_handle =
        std::max(out_.checkpoint.highest_handle, out_.replicas.rbegin()->first.value());
  return absl::OkStatus();
}

absl::Status Recovery::LoadFanOut(const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> names, fs_.List(path));
  // What an earlier process renamed without living to sync the directory is
  // made durable, because it is believed from here on.
  if (!options_.read_only && !names.empty()) APPENDFS_RETURN_IF_ERROR(fs_.SyncDirectory(path));
  for (const std::string& name : names) {
    auto parsed = layout::ParseChunkFileName(name);
    if (!parsed) continue;
    const std::string file = StrCat(path, "/", name);
    switch (parsed->kind) {
      case layout::ChunkFileName::Kind::kData: data_files_.insert(parsed->handle); break;
      case layout::ChunkFileName::Kind::kSidecar: LoadSidecar(parsed->handle, file); break;
      case layout::ChunkFileName::Kind::kUnfinished:
        if (!options_.read_only) APPENDFS_RETURN_IF_ERROR(fs_.Remove(file));
        break;
    }
  }
  return absl::OkStatus();
}

void Recovery::LoadSidecar(ChunkHandle handle, const std::string& path) {
  auto content = ReadWholeFile(fs_, path);
  absl::StatusOr<Sidecar> sidecar =
      content.ok() ? DecodeSidecar(*content, path, handle) : content.status();
  if (!sidecar.ok()) {
    Make(handle).Damage(std::string(FromAbsl(sidecar.status().message())));
    return;
  }
  auto replica = std::make_shared<StoredReplica>(*sidecar);
  out_.replicas[handle] = replica;
  if (!options_.cluster_uuid.empty() && !sidecar->cluster_uuid.empty() &&
      sidecar->cluster_uuid != options_.cluster_uuid)
    replica->Damage(StrCat(path, ": sidecar of cluster ", sidecar->cluster_uuid));
}

absl::Status Recovery::Replay(const JournalScan& scan, uint64_t durable) {
  // A group was cut at an earlier start if a later one follows what came
  // before it.
  std::vector<uint64_t> followed(scan.groups.size() + 1, std::numeric_limits<uint64_t>::max());
  for (size_t i = scan.groups.size(); i > 0; --i)
    followed[i - 1] = std::min(followed[i], scan.groups[i - 1].header.previous);

  last_ = out_.checkpoint.first_live_group - 1;
  const GroupRef* newest = nullptr;
  for (size_t i = 0; i < scan.groups.size(); ++i) {
    const GroupRef& group = scan.groups[i];
    const uint64_t sequence = group.header.sequence;
    if (followed[i + 1] < sequence) continue;
    if (group.header.previous > last_)
      DamageOpenReplicas(group.header.previous, StrCat("journal groups from ", last_ + 1, " to ",
                                                       group.header.previous, " are missing"));
    bool torn = false;
    bool was_durable = sequence <= durable || i + 1 < scan.groups.size();
    APPENDFS_RETURN_IF_ERROR(ReplayGroup(group, was_durable, torn));
    if (torn) {
      out_.torn_tail = true;
      break;
    }
    last_ = sequence;
    newest = &group;
    ++out_.groups_replayed;
    APPENDFS_RETURN_IF_ERROR(LimitUnapplied());
  }
  if (newest != nullptr && newest->records_intact && last_ > durable && !options_.read_only)
    APPENDFS_RETURN_IF_ERROR(journal_.WriteAgain(*newest));
  if (last_ < durable && !(out_.torn_tail && PLANTED(kTruncateInMiddle)))
    DamageOpenReplicas(durable, StrCat("journal groups from ", last_ + 1, " to ", durable,
                                       " are missing, and had been synced"));
  return absl::OkStatus();
}

absl::Status Recovery::ReplayGroup(const GroupRef& group, bool was_durable, bool& torn) {
  const uint64_t sequence = group.header.sequence;
  absl::StatusOr<std::vector<JournalRecord>> records = MakeError(v1::CHECKSUM_MISMATCH, "");
  if (group.records_intact) {
    auto content = journal_.ReadGroup(group);
    if (content.ok()) {
      const uint64_t split = group.header.record_bytes;
      records = DecodeRecords(content->view().substr(0, split), group.header.records,
                              content->Slice(split, content->size()));
      // Intact, and yet not understood: a newer program wrote it.
      if (!records.ok()) return records.status();
    }
  }
  if (!records.ok()) {
    torn = !was_durable || PLANTED(kTruncateInMiddle);
    if (!torn) DamageOpenReplicas(sequence, StrCat("journal group ", sequence, " is unreadable"));
    return absl::OkStatus();
  }
  absl::flat_hash_set<size_t> bad;
  for (size_t i = 0; i < records->size(); ++i)
    if (auto* append = std::get_if<AppendRecord>(&(*records)[i]))
      if (!PLANTED(kIgnoreReplayCrc) &&
          Crc32c(append->batch.payload.view()) != append->batch.crc32c)
        bad.insert(i);
  torn = !bad.empty() && !was_durable;
  if (torn) return absl::OkStatus();
  for (size_t i = 0; i < records->size(); ++i) {
    if (!bad.contains(i)) {
      ReplayRecord((*records)[i], sequence);
      continue;
    }
    const AppendBatch& batch = std::get<AppendRecord>((*records)[i]).batch;
    StoredReplica* replica = Find(batch.handle);
    if (replica == nullptr) replica = &Make(batch.handle);
    if (replica->checkpointed() < sequence)
      replica->Damage(
          StrCat("journal group ", sequence, ": checksum mismatch in the batch at ", batch.offset));
  }
  return absl::OkStatus();
}

void Recovery::ReplayRecord(const JournalRecord& record, uint64_t sequence) {
  const ChunkHandle handle = HandleOf(record);
  StoredReplica* replica = Find(handle);
  if (replica != nullptr && replica->checkpointed() >= sequence) return;
  if (std::holds_alternative<DeleteReplica>(record)) {
    if (replica != nullptr) unapplied_ -= replica->unapplied();
    out_.replicas.erase(handle);
    out_.checkpoint.deleted.Add(handle);
    out_.removals.push_back(handle);
    return;
  }
  if (const auto* create = std::get_if<CreateReplica>(&record)) {
    if (replica == nullptr)
      Make(handle).Apply(*create, sequence);
    else
      replica->Damage(StrCat("journal group ", sequence, " creates it once more"));
    return;
  }
  if (replica == nullptr) {
    replica = &Make(handle);
    replica->Damage(
        StrCat("journal group ", sequence, " changes it, but its beginning is missing"));
  }
  const uint64_t unapplied = replica->unapplied();
  if (const AppendBatch* batch = BatchOf(record)) {
    if (replica->damaged()) return;
    if (batch->offset != replica->length() || replica->sealed()) {
      replica->Damage(StrCat("journal group ", sequence, " appends at ", batch->offset,
                             replica->sealed() ? " to a sealed replica of " : " to a replica of ",
                             replica->length(), " bytes"));
    } else if (const auto* append = std::get_if<AppendRecord>(&record)) {
      replica->Apply(*batch, SumParts(batch->offset, batch->payload.view(), batch->crc32c),
                     sequence);
      replica->SetCommitted(append->committed_length);
    } else {
      const auto& in_place = std::get<InPlaceRecord>(record);
      replica->Apply(in_place, sequence);
      replica->SetCommitted(in_place.committed_length);
    }
  } else if (const auto* fence = std::get_if<FenceReplica>(&record)) {
    replica->Apply(*fence, sequence);
  } else if (const auto* conform = std::get_if<ConformRecord>(&record)) {
    if (replica->damaged()) return;
    if (conform->change.length > replica->length())
      replica->Damage(StrCat("journal group ", sequence, " cuts it to ", conform->change.length,
                             " bytes, but it has ", replica->length()));
    else
      replica->Apply(*conform, sequence);
  } else if (const auto* damage = std::get_if<DamageRecord>(&record)) {
    replica->Damage(damage->why);
    replica->Apply(*damage, sequence);
  }
  unapplied_ += replica->unapplied() - unapplied;
}

absl::Status Recovery::LimitUnapplied() {
  if (options_.read_only || unapplied_ <= options_.max_unapplied_bytes) return absl::OkStatus();
  // The journal still has them; nothing needs a sync.
  for (auto& [handle, replica] : out_.replicas) {
    if (replica->unapplied() == 0) continue;
    // Too short a file is not judged yet: a later record may have cut it, and
    // the cut been applied. Until then nothing is written behind its end.
    APPENDFS_ASSIGN_OR_RETURN(auto file, fs_.Open(layout::DataPath(directory_, handle),
                                                  FileSystem::OpenMode::kCreateOrOpen));
    APPENDFS_ASSIGN_OR_RETURN(uint64_t size, file->Size());
    if (size < replica->applied()) continue;
    ApplyPlan plan = PlanApply(*replica, replica->length());
    APPENDFS_RETURN_IF_ERROR(plan.Run(*file));
    FinishApply(plan, *replica);
    data_files_.insert(handle);
  }
  unapplied_ = 0;
  for (auto& [handle, replica] : out_.replicas) unapplied_ += replica->unapplied();
  return absl::OkStatus();
}

void Recovery::JudgeFile(ChunkHandle handle, StoredReplica& replica, bool there) {
  if (replica.damaged() || (!there && replica.applied() == 0)) return;
  const std::string path = layout::DataPath(directory_, handle);
  auto file = fs_.Open(path, FileSystem::OpenMode::kRead);
  absl::StatusOr<uint64_t> size = file.ok() ? (*file)->Size() : file.status();
  if (!size.ok())
    replica.Damage(std::string(FromAbsl(size.status().message())));
  else if (*size < replica.applied())
    replica.Damage(StrCat(path, ": has ", *size, " bytes, should have ", replica.applied()));
  else
    replica.SetFileLength(*size);
}

void Recovery::JudgeFiles() {
  for (auto& [handle, replica] : out_.replicas) {
    JudgeFile(handle, *replica, data_files_.erase(handle) > 0);
    if (replica->damaged())
      out_.problems.push_back(StrCat("chunk=", handle, " ", replica->damage()));
  }
  for (ChunkHandle handle : data_files_) out_.removals.push_back(handle);
}

}  // namespace

absl::StatusOr<RecoveredStore> RecoverStore(FileSystem& fs, const std::string& directory,
                                            Journal& journal, const RecoverStoreOptions& options) {
  return Recovery(fs, directory, journal, options).Run();
}

}  // namespace appendfs
