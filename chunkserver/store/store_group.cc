// StoreCore: the way of a change through one group commit.

#include <algorithm>
#include <utility>

#include "chunkserver/store/layout.h"
#include "chunkserver/store/store_core.h"
#include "common/crc32c.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

JournalRecord ToRecord(StoreChange change) {
  struct Visitor {
    JournalRecord operator()(CreateReplica&& c) { return std::move(c); }
    JournalRecord operator()(AppendBatch&& c) { return AppendRecord{std::move(c), 0}; }
    JournalRecord operator()(FenceReplica&& c) { return c; }
    JournalRecord operator()(ConformReplica&& c) { return ConformRecord{std::move(c), 0}; }
    JournalRecord operator()(DeleteReplica&& c) { return c; }
  };
  return std::visit(Visitor(), std::move(change));
}

absl::Status StaleEpoch(ChunkHandle handle, Epoch epoch, Epoch promised) {
  return MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle, " epoch=", epoch, ": epoch ", promised,
                                           " is promised"));
}

// Bytes of the record and its payload in a group: exact for appends, for the
// others a bound.
uint64_t RecordBytes(const JournalRecord& record) {
  constexpr uint64_t kFixed = 128;
  struct Visitor {
    uint64_t operator()(const CreateReplica& r) { return kFixed + r.memory.ByteSizeLong(); }
    uint64_t operator()(const AppendRecord& r) {
      return kAppendRecordBytes + r.batch.payload.size();
    }
    uint64_t operator()(const InPlaceRecord& r) {
      return InPlaceRecordBytes(r.batch.offset, r.length);
    }
    uint64_t operator()(const FenceReplica&) { return kFixed; }
    uint64_t operator()(const ConformRecord& r) { return kFixed + r.change.memory.ByteSizeLong(); }
    uint64_t operator()(const DeleteReplica&) { return kFixed; }
    uint64_t operator()(const DamageRecord& r) { return kFixed + r.why.size(); }
  };
  return std::visit(Visitor(), record);
}

absl::Status Unknown(ChunkHandle handle) {
  return MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk=", handle, " is not held here"));
}

absl::Status Damaged(const StoredReplica& replica) {
  return MakeError(v1::REPLICA_DAMAGED,
                   StrCat("chunk=", replica.identity().handle, " ", replica.damage()));
}

}  // namespace

bool StoreCore::Submit(StoreChange change, uint64_t token) {
  Queued queued{.record = ToRecord(std::move(change)), .token = token};
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(queued));
  return queue_.size() == 1;
}

void StoreCore::Discard(ChunkHandle handle) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back({.record = DeleteReplica{handle}, .internal = true});
}

std::unique_ptr<PendingGroup> StoreCore::PrepareGroup() {
  const uint64_t room = journal_->Room();
  const uint64_t largest = journal_->segment_bytes();
  absl::MutexLock lock(&mutex_);
  if (queue_.empty() || group_pending_) return nullptr;
  auto group = std::make_unique<PendingGroup>();
  in_flight_.clear();
  uint64_t bytes = GroupHeader::kBytes;
  uint64_t payload = 0;
  while (!queue_.empty()) {
    Queued& next = queue_.front();
    auto* append = std::get_if<AppendRecord>(&next.record);
    if (auto found = in_flight_.find(HandleOf(next.record)); found != in_flight_.end())
      if (!append || !found->second.appends) break;  // takes effect after what is in this group
    const uint64_t payload_size = append ? append->batch.payload.size() : 0;
    const bool in_place = append && GoesInPlace(append->batch);
    const uint64_t size = in_place ? InPlaceRecordBytes(append->batch.offset, payload_size)
                                   : RecordBytes(next.record);
    const bool fits = AlignGroup(GroupHeader::kBytes + size) <= largest;
    if (failure_.ok() && fits) {
      if (AlignGroup(bytes + size) > room) {
        if (group->changes.empty()) journal_->Request(AlignGroup(bytes + size));
        break;
      }
      if (payload > 0 && payload + payload_size > options_.max_group_bytes) break;
      if (append && !in_place && unapplied_bytes_ + payload > options_.max_unapplied_bytes) break;
    }
    PendingGroup::Change& change = group->changes.emplace_back();
    change.token = next.token;
    change.internal = next.internal;
    if (in_place)
      change.record = InPlaceRecord{.batch = std::move(append->batch),
                                    .length = static_cast<uint32_t>(payload_size)};
    else
      change.record = std::move(next.record);
    queue_.pop_front();
    if (!failure_.ok())
      change.status = failure_;
    else if (!fits)
      change.status = MakeError(v1::TOO_LARGE, StrCat("chunk=", change.handle(), ": ", size,
                                                      " bytes do not fit into a journal segment"));
    else
      change.status = Check(change, in_flight_);
    change.journaled &= change.status.ok();
    if (!change.journaled) continue;
    bytes += size;
    payload += payload_size;
  }
  if (group->changes.empty()) return nullptr;
  group_pending_ = true;
  return group;
}

absl::Status StoreCore::Check(PendingGroup::Change& change, Touched& touched) {
  const ChunkHandle handle = change.handle();
  if (importing_.contains(handle))
    return MakeError(v1::NOT_READY, StrCat("chunk=", handle, " is being built"));
  if (const AppendBatch* batch = BatchOf(change.record)) {
    auto [at, first] = touched.try_emplace(handle);
    Touch& touch = at->second;
    if (first) {
      touch.appends = true;
      touch.replica = Find(handle);
      if (touch.replica) touch.next_offset = touch.replica->length();
      touch.in_place = touch.replica && touch.replica->TakesInPlace();
    }
    APPENDFS_RETURN_IF_ERROR(CheckAppend(*batch, change, touch));
    const uint64_t committed = touch.replica->committed();
    if (auto* append = std::get_if<AppendRecord>(&change.record)) {
      append->committed_length = committed;
      touch.in_place = false;
    } else {
      std::get<InPlaceRecord>(change.record).committed_length = committed;
    }
    return absl::OkStatus();
  }
  change.replica = Find(handle);
  change.journaled = true;
  absl::Status status;
  if (const auto* create = std::get_if<CreateReplica>(&change.record)) {
    status = CheckCreate(*create, change);
  } else if (std::holds_alternative<DeleteReplica>(change.record)) {
    change.journaled = change.replica != nullptr || !deleted_.Contains(handle);
  } else if (std::holds_alternative<DamageRecord>(change.record)) {
    // An import may have replaced what was damaged.
    change.journaled = change.replica != nullptr && change.replica->damaged();
  } else if (!change.replica) {
    status = Unknown(handle);
  } else if (change.replica->damaged()) {
    status = Damaged(*change.replica);
  } else if (const auto* fence = std::get_if<FenceReplica>(&change.record)) {
    if (fence->epoch < change.replica->epoch())
      status = StaleEpoch(handle, fence->epoch, change.replica->epoch());
    change.journaled = fence->epoch != change.replica->epoch();
  } else if (const auto* conform = std::get_if<ConformRecord>(&change.record)) {
    status = CheckConform(conform->change, change);
  }
  if (status.ok() && change.journaled) touched.try_emplace(handle);
  return status;
}

absl::Status StoreCore::CheckCreate(const CreateReplica& create, PendingGroup::Change& change) {
  const ChunkHandle handle = create.identity.handle;
  if (!change.replica) {
    if (!deleted_.Contains(handle) || PLANTED(kReviveDeleted)) return absl::OkStatus();
    return MakeError(v1::ENTRY_EXISTS, StrCat("chunk=", handle, " was deleted here"));
  }
  if (change.replica->damaged()) return Damaged(*change.replica);
  const ReplicaIdentity& held = change.replica->identity();
  if (change.replica->epoch() != create.epoch || held.inode != create.identity.inode ||
      held.base_offset != create.identity.base_offset || held.capacity != create.identity.capacity)
    return MakeError(v1::ENTRY_EXISTS, StrCat("chunk=", handle, " epoch=", change.replica->epoch(),
                                              " is held here already"));
  change.journaled = false;
  return absl::OkStatus();
}

absl::Status StoreCore::CheckAppend(const AppendBatch& batch, PendingGroup::Change& change,
                                    Touch& touch) {
  if (!touch.replica) return Unknown(batch.handle);
  const StoredReplica& replica = *touch.replica;
  const uint64_t size = batch.payload.size();
  if (replica.damaged()) return Damaged(replica);
  if (batch.epoch != replica.epoch() && !PLANTED(kAcceptOldEpoch))
    return StaleEpoch(batch.handle, batch.epoch, replica.epoch());
  if (replica.sealed())
    return MakeError(v1::CHUNK_SEALED, StrCat("chunk=", batch.handle, " is sealed"));
  if (batch.offset != touch.next_offset || size == 0)
    return MakeError(v1::INVALID, StrCat("chunk=", batch.handle, ": ", size, " bytes at ",
                                         batch.offset, ", but it ends at ", touch.next_offset));
  // Catch-up brings what was agreed on, which may be more than when the
  // replica was made to hold it.
  if (batch.client && batch.offset + size > replica.identity().capacity)
    return MakeError(v1::CHUNK_FULL, StrCat("chunk=", batch.handle, " has no room for ", size,
                                            " bytes at ", batch.offset));
  // Catch-up is recovery, which the reserved room is for.
  const uint64_t reserved = batch.client ? options_.reserved_bytes : 0;
  if (space_.available_bytes < reserved + taken_since_ + size)
    return MakeError(v1::NO_SPACE, StrCat(directory_, " is full but for ", reserved,
                                          " reserved bytes; free or add space"));
  taken_since_ += size;
  touch.next_offset += size;
  change.replica = touch.replica;
  change.journaled = true;
  return absl::OkStatus();
}

absl::Status StoreCore::CheckConform(const ConformReplica& conform, PendingGroup::Change& change) {
  const StoredReplica& replica = *change.replica;
  if (conform.epoch < replica.epoch())
    return StaleEpoch(conform.handle, conform.epoch, replica.epoch());
  if (conform.length > replica.length())
    return MakeError(v1::INVALID, StrCat("chunk=", conform.handle, " has ", replica.length(),
                                         " bytes, cannot be cut to ", conform.length));
  if (conform.length == replica.length()) return absl::OkStatus();
  if (replica.sealed())
    return MakeError(v1::CHUNK_SEALED,
                     StrCat("chunk=", conform.handle, " is sealed at ", replica.length(),
                            " bytes, is not cut to ", conform.length));
  change.cut_block = conform.length % layout::kBlockBytes;
  return absl::OkStatus();
}

// What needs the bytes, and so is done without the lock.
absl::Status StoreCore::SumChange(PendingGroup::Change& change) {
  if (const AppendBatch* batch = BatchOf(change.record)) {
    PartSums parts = SumParts(batch->offset, batch->payload.view(), batch->crc32c);
    if (parts.size() > 1 &&
        CombineParts(batch->offset, batch->payload.size(), parts) != batch->crc32c)
      return MakeError(v1::CHECKSUM_MISMATCH, StrCat("chunk=", batch->handle, ": the batch at ",
                                                     batch->offset, " is not what was summed"));
    if (auto* in_place = std::get_if<InPlaceRecord>(&change.record))
      in_place->parts = std::move(parts);
    else
      change.parts = std::move(parts);
    return absl::OkStatus();
  }
  if (change.cut_block == 0) return absl::OkStatus();
  auto& conform = std::get<ConformRecord>(change.record);
  APPENDFS_ASSIGN_OR_RETURN(
      ReadResult read, Read(conform.change.handle, conform.change.length - change.cut_block,
                            static_cast<uint32_t>(change.cut_block), /*committed_only=*/false));
  conform.last_block_crc32c = read.crc32c;
  return absl::OkStatus();
}

absl::Status StoreCore::CommitGroup(PendingGroup& group) {
  for (PendingGroup::Change& change : group.changes)
    if (change.journaled) change.status = SumChange(change);
  APPENDFS_RETURN_IF_ERROR(WriteInPlace(group));
  GroupWriter writer;
  absl::flat_hash_set<ChunkHandle> broken;
  bool any = false;
  for (PendingGroup::Change& change : group.changes) {
    if (!change.journaled) continue;
    if (broken.contains(change.handle()))
      change.status = MakeError(
          v1::INVALID, StrCat("chunk=", change.handle(), ": what came before it was refused"));
    if (!change.status.ok()) {
      change.journaled = false;
      broken.insert(change.handle());
      continue;
    }
    any = true;
    writer.CountRecord();
    EncodeRecord(change.record, writer.records());
    if (const auto* append = std::get_if<AppendRecord>(&change.record))
      writer.AddPayload(append->batch.payload);
  }
  if (!any) return absl::OkStatus();
  absl::Status status = journal_->Write(writer);
  if (PLANTED(kIgnoreFailedSync)) return absl::OkStatus();
  return status.ok() ? status : Fail(status);
}

std::vector<StoreCompletion> StoreCore::CompleteGroup(std::unique_ptr<PendingGroup> group,
                                                      const absl::Status& committed) {
  std::vector<StoreCompletion> completions;
  completions.reserve(group->changes.size());
  const uint64_t sequence = journal_->written();
  absl::MutexLock lock(&mutex_);
  for (PendingGroup::Change& change : group->changes) {
    if (change.journaled && !committed.ok()) {
      change.status = committed;
    } else if (change.journaled) {
      CompleteChange(change, sequence);
    }
    if (change.internal) continue;
    StoreCompletion& completion = completions.emplace_back();
    completion.token = change.token;
    completion.handle = change.handle();
    completion.status = std::move(change.status);
    if (change.replica) completion.durable_length = change.replica->length();
  }
  if (committed.ok()) completed_ = sequence;
  in_flight_.clear();
  group_pending_ = false;
  return completions;
}

void StoreCore::CompleteChange(PendingGroup::Change& change, uint64_t sequence) {
  const ChunkHandle handle = change.handle();
  dirty_.insert(handle);
  if (const auto* create = std::get_if<CreateReplica>(&change.record)) {
    change.replica = std::make_shared<StoredReplica>();
    change.replica->Apply(*create, sequence);
    replicas_[handle] = change.replica;
    highest_handle_ = std::max(highest_handle_, handle.value());
    return;
  }
  if (std::holds_alternative<DeleteReplica>(change.record)) {
    if (change.replica) unapplied_bytes_ -= change.replica->unapplied();
    replicas_.erase(handle);
    deleted_.Add(handle);
    removals_.push_back(handle);
    change.replica = nullptr;
    return;
  }
  StoredReplica& replica = *change.replica;
  if (const auto* damage = std::get_if<DamageRecord>(&change.record)) {
    replica.Apply(*damage, sequence);
    return;
  }
  if (replica.damaged()) {  // meanwhile
    change.status = Damaged(replica);
    return;
  }
  const uint64_t before = replica.unapplied();
  if (const auto* append = std::get_if<AppendRecord>(&change.record)) {
    replica.Apply(append->batch, change.parts, sequence);
    to_apply_.insert(handle);
  } else if (const auto* in_place = std::get_if<InPlaceRecord>(&change.record)) {
    replica.Apply(*in_place, sequence);
  } else if (const auto* fence = std::get_if<FenceReplica>(&change.record)) {
    replica.Apply(*fence, sequence);
  } else if (const auto* conform = std::get_if<ConformRecord>(&change.record)) {
    replica.Apply(*conform, sequence);
    to_apply_.insert(handle);
  }
  unapplied_bytes_ += replica.unapplied() - before;
}

absl::Status StoreCore::MarkIdle() {
  APPENDFS_RETURN_IF_ERROR(failure());
  absl::Status status = journal_->WriteMark();
  return status.ok() ? status : Fail(status);
}

}  // namespace appendfs
