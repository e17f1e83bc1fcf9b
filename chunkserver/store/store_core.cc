#include "chunkserver/store/store_core.h"

#include <glog/logging.h>

#include <algorithm>

#include "chunkserver/store/layout.h"
#include "chunkserver/store/read_plan.h"
#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

absl::Status Unknown(ChunkHandle handle) {
  return MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk=", handle, " is not held here"));
}

absl::Status Damaged(const StoredReplica& replica) {
  return MakeError(v1::REPLICA_DAMAGED,
                   StrCat("chunk=", replica.identity().handle, " ", replica.damage()));
}

}  // namespace

StoreIdentity StoreCore::identity() const {
  absl::MutexLock lock(&mutex_);
  return identity_.identity;
}

uint64_t StoreCore::disk_id() const {
  absl::MutexLock lock(&mutex_);
  return identity_.journal_id;
}

absl::Status StoreCore::SetIdentity(const StoreIdentity& identity) {
  IdentityFile file;
  {
    absl::MutexLock lock(&mutex_);
    const StoreIdentity& known = identity_.identity;
    if (!known.cluster_uuid.empty() && known.cluster_uuid != identity.cluster_uuid)
      return MakeError(v1::WRONG_CLUSTER,
                       StrCat(directory_, " belongs to cluster ", known.cluster_uuid, ", not ",
                              identity.cluster_uuid));
    if (known.server && known.server != identity.server)
      return MakeError(v1::WRONG_SERVER, StrCat(directory_, " belongs to server ", known.server,
                                                ", not ", identity.server));
    if (known.server && !known.cluster_uuid.empty()) return absl::OkStatus();
    file = identity_;
    file.identity = identity;
  }
  APPENDFS_RETURN_IF_ERROR(
      ReplaceFile(fs_, layout::IdentityPath(directory_), EncodeIdentity(file)));
  absl::MutexLock lock(&mutex_);
  identity_ = file;
  return absl::OkStatus();
}

std::shared_ptr<StoredReplica> StoreCore::Find(ChunkHandle handle) const {
  auto found = replicas_.find(handle);
  return found == replicas_.end() ? nullptr : found->second;
}

absl::Status StoreCore::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Status StoreCore::Fail(const absl::Status& why) {
  absl::Status failure = MakeError(v1::INPUT_OUTPUT, StrCat("data directory ", directory_,
                                                            " failed: ", FromAbsl(why.message())));
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    failure_ = failure;
  }
  LOG(ERROR) << failure.message();
  return failure;
}

void StoreCore::SetCommitted(ChunkHandle handle, uint64_t length) {
  absl::MutexLock lock(&mutex_);
  if (auto replica = Find(handle)) replica->SetCommitted(length);
}

absl::StatusOr<ReadResult> StoreCore::Read(ChunkHandle handle, uint64_t offset, uint32_t length,
                                           bool committed_only) {
  for (;;) {
    std::shared_ptr<StoredReplica> replica;
    std::optional<ReadPlan> plan;
    ReadResult result;
    {
      absl::MutexLock lock(&mutex_);
      replica = Find(handle);
      if (!replica) return Unknown(handle);
      if (replica->damaged()) return Damaged(*replica);
      result.committed_length = replica->committed();
      result.durable_length = replica->length();
      const uint64_t end = committed_only ? result.committed_length : result.durable_length;
      if (offset >= end || length == 0) return result;
      plan.emplace(*replica, offset, std::min<uint64_t>(length, end - offset));
    }
    absl::StatusOr<std::shared_ptr<File>> file = nullptr;
    if (plan->needs_file()) file = files_.Open(handle, false);
    // Descriptors may run out; only a file that is not there is lost.
    if (!file.ok() && !HasReason(file.status(), v1::NO_ENTRY)) return file.status();
    absl::StatusOr<ReadPlan::Result> read =
        file.ok() ? plan->Run(file->get()) : absl::StatusOr<ReadPlan::Result>(file.status());
    if (read.ok()) {
      result.payload = std::move(read->payload);
      result.crc32c = read->crc32c;
      return result;
    }
    // Bytes that are wrong are this replica's; bytes that the disk does not
    // give, the disk's.
    if (!HasReason(read.status(), v1::CHECKSUM_MISMATCH) && !HasReason(read.status(), v1::NO_ENTRY))
      return Fail(read.status());
    absl::MutexLock lock(&mutex_);
    if (Find(handle) != replica || replica->cuts() != plan->cuts()) continue;  // changed meanwhile
    const std::string why(read.status().message());
    DamageLocked(handle, *replica, why);
    return MakeError(v1::CHECKSUM_MISMATCH, StrCat("chunk=", handle, " ", why));
  }
}

absl::StatusOr<ReplicaState> StoreCore::State(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  auto replica = Find(handle);
  if (!replica) return Unknown(handle);
  return replica->State(/*with_memory=*/true);
}

std::optional<ReplicaState> StoreCore::StateWithoutMemory(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  auto replica = Find(handle);
  if (!replica) return std::nullopt;
  return replica->State(/*with_memory=*/false);
}

bool StoreCore::Holds(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  return replicas_.contains(handle);
}

bool StoreCore::WasDeleted(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  return deleted_.Contains(handle);
}

std::vector<ReplicaState> StoreCore::List(ChunkHandle after, size_t limit) const {
  std::vector<ReplicaState> states;
  absl::MutexLock lock(&mutex_);
  for (auto at = replicas_.upper_bound(after); at != replicas_.end() && states.size() < limit; ++at)
    states.push_back(at->second->State(/*with_memory=*/false));
  return states;
}

absl::StatusOr<uint32_t> StoreCore::PrefixCrc32c(ChunkHandle handle, uint64_t length) {
  // Whole blocks from their stored sums, which every read checks the bytes
  // against; only a block that is cut is read.
  const uint64_t cut = length % layout::kBlockBytes;
  uint32_t whole;
  {
    absl::MutexLock lock(&mutex_);
    auto replica = Find(handle);
    if (!replica) return Unknown(handle);
    if (replica->damaged()) return Damaged(*replica);
    if (length > replica->length())
      return MakeError(v1::INVALID, StrCat("chunk=", handle, " has ", replica->length(),
                                           " bytes, not ", length));
    if (length == replica->length()) return replica->sums().Whole(length);
    whole = replica->sums().Whole(length - cut);
  }
  if (cut == 0) return whole;
  APPENDFS_ASSIGN_OR_RETURN(ReadResult read, Read(handle, length - cut, static_cast<uint32_t>(cut),
                                                  /*committed_only=*/false));
  if (read.payload.size() != cut)
    return MakeError(v1::INVALID, StrCat("chunk=", handle, " was cut meanwhile"));
  return CombineCrc32c(whole, read.crc32c, cut);
}

ChunkStore::Usage StoreCore::usage() const {
  absl::MutexLock lock(&mutex_);
  ChunkStore::Usage usage;
  usage.total_bytes = space_.total_bytes;
  const uint64_t kept = options_.reserved_bytes + taken_since_;
  usage.available_bytes = space_.available_bytes > kept ? space_.available_bytes - kept : 0;
  usage.chunks = replicas_.size();
  usage.highest_handle = highest_handle_;
  usage.unapplied_bytes = unapplied_bytes_;
  return usage;
}

void StoreCore::ReportDamage(ChunkHandle handle, const std::string& why) {
  absl::MutexLock lock(&mutex_);
  if (auto replica = Find(handle)) DamageLocked(handle, *replica, why);
}

void StoreCore::DamageLocked(ChunkHandle handle, StoredReplica& replica, const std::string& why) {
  if (replica.damaged()) return;
  unapplied_bytes_ -= replica.unapplied();
  replica.Damage(why);
  damage_found_.push_back({handle, why});
  dirty_.insert(handle);
  // So that it is still known after a restart.
  queue_.push_back({.record = DamageRecord{handle, why}, .internal = true});
}

std::vector<StoreCore::DamageFound> StoreCore::TakeDamageFound() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(damage_found_, {});
}

bool StoreCore::HasDamageFound() const {
  absl::MutexLock lock(&mutex_);
  return !damage_found_.empty();
}

bool StoreCore::HasQueued() const {
  absl::MutexLock lock(&mutex_);
  return !queue_.empty();
}

std::vector<StoreCompletion> StoreCore::RefuseQueued(const absl::Status& why) {
  std::vector<StoreCompletion> completions;
  absl::MutexLock lock(&mutex_);
  for (const Queued& queued : queue_) {
    if (queued.internal) continue;
    StoreCompletion& completion = completions.emplace_back();
    completion.token = queued.token;
    completion.handle = HandleOf(queued.record);
    completion.status = why;
  }
  queue_.clear();
  return completions;
}

absl::Status StoreCore::MakeSegment() {
  absl::Status status = journal_->MakeSegment();
  // A full disk is no failed disk: what is there can be used again.
  if (!status.ok() && !HasReason(status, v1::NO_SPACE)) return Fail(status);
  return status;
}

absl::Status StoreCore::RefreshSpace() {
  // What is open goes on as if nothing had happened when the names are gone.
  const std::string identity = layout::IdentityPath(directory_);
  absl::StatusOr<bool> there = fs_.Exists(identity);
  if (there.ok() && !*there) there = MakeError(v1::NO_ENTRY, StrCat(identity, " has vanished"));
  APPENDFS_RETURN_IF_ERROR(FailUnlessFull(there.status()));
  auto found = fs_.GetSpace(directory_);
  APPENDFS_RETURN_IF_ERROR(FailUnlessFull(found.status()));
  const FileSystem::Space space = *found;
  absl::MutexLock lock(&mutex_);
  space_ = space;
  // Bytes in the journal will need their room once more, in chunk files.
  taken_since_ = unapplied_bytes_;
  return absl::OkStatus();
}

}  // namespace appendfs
