#include "tests/chunkserver/engine/fake_chunk_store.h"

#include <algorithm>

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

absl::Status Unknown(ChunkHandle handle) {
  return MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk=", handle, " is not here"));
}

}  // namespace

class FakeChunkStore::FakeImport final : public ChunkStore::Import {
 public:
  FakeImport(FakeChunkStore& store, const ReplicaIdentity& identity, Epoch epoch)
      : store_(store), identity_(identity), epoch_(epoch) {}
  absl::Status Write(std::string_view bytes) override {
    bytes_ += bytes;
    return absl::OkStatus();
  }
  absl::Status Finish(uint64_t length, uint32_t crc32c, uint64_t mtime_ns,
                      const v1::DedupMemory& memory) override {
    if (bytes_.size() != length || Crc32c(bytes_) != crc32c)
      return MakeError(v1::CHECKSUM_MISMATCH, "import does not match");
    absl::MutexLock lock(&store_.mutex_);
    Replica& replica = store_.replicas_[identity_.handle];
    replica = {};
    replica.state.identity = identity_;
    replica.state.epoch = epoch_;
    replica.state.sealed = true;
    replica.state.committed_length = length;
    replica.state.mtime_ns = mtime_ns;
    replica.memory = DedupMemory(memory);
    replica.bytes = std::move(bytes_);
    return absl::OkStatus();
  }

 private:
  FakeChunkStore& store_;
  const ReplicaIdentity identity_;
  const Epoch epoch_;
  std::string bytes_;
};

FakeChunkStore::~FakeChunkStore() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void FakeChunkStore::RunByItself() {
  thread_ = std::thread([this] {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        auto wakeful = [this] {
          mutex_.AssertHeld();
          return stopping_ || !submitted_.empty();
        };
        mutex_.Await(absl::Condition(&wakeful));
        if (submitted_.empty()) return;
      }
      Complete();
    }
  });
}

void FakeChunkStore::Complete() {
  std::vector<StoreCompletion> completions;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [change, token] : submitted_) {
      StoreCompletion& completion = completions.emplace_back();
      completion.token = token;
      std::visit(
          [&](auto& typed) {
            mutex_.AssertHeld();
            if constexpr (requires { typed.handle; })
              completion.handle = typed.handle;
            else
              completion.handle = typed.identity.handle;
            completion.status = failure_.ok() ? Do(typed) : failure_;
          },
          change);
      if (Replica* replica = Find(completion.handle))
        completion.durable_length = replica->bytes.size();
    }
    submitted_.clear();
  }
  if (!completions.empty()) listener_->OnDurable(completions);
}

void FakeChunkStore::FailWith(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  failure_ = std::move(status);
}

void FakeChunkStore::Damage(ChunkHandle handle) {
  absl::MutexLock lock(&mutex_);
  replicas_[handle].state.damaged = true;
  replicas_[handle].state.damage = "flipped byte";
}

void FakeChunkStore::SetUnapplied(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  unapplied_ = bytes;
}

std::string FakeChunkStore::Bytes(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  auto found = replicas_.find(handle);
  return found == replicas_.end() ? "" : found->second.bytes;
}

size_t FakeChunkStore::submitted() const {
  absl::MutexLock lock(&mutex_);
  return submitted_.size();
}

StoreIdentity FakeChunkStore::identity() const {
  absl::MutexLock lock(&mutex_);
  return identity_;
}

absl::Status FakeChunkStore::SetIdentity(const StoreIdentity& identity) {
  absl::MutexLock lock(&mutex_);
  identity_ = identity;
  return absl::OkStatus();
}

void FakeChunkStore::Submit(StoreChange change, uint64_t token) {
  absl::MutexLock lock(&mutex_);
  submitted_.emplace_back(std::move(change), token);
}

FakeChunkStore::Replica* FakeChunkStore::Find(ChunkHandle handle) {
  auto found = replicas_.find(handle);
  return found == replicas_.end() ? nullptr : &found->second;
}

absl::Status FakeChunkStore::Do(CreateReplica& change) {
  mutex_.AssertHeld();
  if (deleted_.contains(change.identity.handle)) return MakeError(v1::ENTRY_EXISTS, "was deleted");
  if (auto held = replicas_.find(change.identity.handle); held != replicas_.end())
    return held->second.state.epoch == change.epoch
               ? absl::OkStatus()  // the same once more, as the real store has it
               : MakeError(v1::ENTRY_EXISTS, "exists");
  Replica& replica = replicas_[change.identity.handle];
  replica.state.identity = change.identity;
  replica.state.epoch = change.epoch;
  replica.state.mtime_ns = change.mtime_ns;
  replica.memory = DedupMemory(change.memory);
  return absl::OkStatus();
}

absl::Status FakeChunkStore::Do(AppendBatch& change) {
  mutex_.AssertHeld();
  Replica* replica = Find(change.handle);
  if (replica == nullptr) return Unknown(change.handle);
  if (replica->state.sealed) return MakeError(v1::CHUNK_SEALED, "sealed");
  if (replica->state.epoch != change.epoch) return MakeError(v1::STALE_EPOCH, "epoch");
  if (replica->bytes.size() != change.offset) return MakeError(v1::INVALID, "offset");
  replica->bytes += change.payload.view();
  replica->state.mtime_ns = change.mtime_ns;
  if (change.client)
    replica->memory.Add(
        change.client,
        {change.sequence, FileOffset(replica->state.identity.base_offset + change.offset),
         static_cast<uint32_t>(change.payload.size())});
  return absl::OkStatus();
}

absl::Status FakeChunkStore::Do(FenceReplica& change) {
  mutex_.AssertHeld();
  Replica* replica = Find(change.handle);
  if (replica == nullptr) return Unknown(change.handle);
  if (change.epoch < replica->state.epoch) return MakeError(v1::STALE_EPOCH, "epoch");
  replica->state.epoch = change.epoch;
  return absl::OkStatus();
}

absl::Status FakeChunkStore::Do(ConformReplica& change) {
  mutex_.AssertHeld();
  Replica* replica = Find(change.handle);
  if (replica == nullptr) return Unknown(change.handle);
  if (change.epoch < replica->state.epoch) return MakeError(v1::STALE_EPOCH, "epoch");
  if (change.length > replica->bytes.size()) return MakeError(v1::INVALID, "longer than held");
  replica->bytes.resize(change.length);
  replica->state.epoch = change.epoch;
  replica->state.sealed = change.seal;
  if (change.seal) replica->state.committed_length = change.length;
  replica->state.mtime_ns = change.mtime_ns;
  replica->memory = DedupMemory(change.memory);
  return absl::OkStatus();
}

absl::Status FakeChunkStore::Do(DeleteReplica& change) {
  mutex_.AssertHeld();
  deleted_.insert(change.handle);
  return replicas_.erase(change.handle) > 0 ? absl::OkStatus() : Unknown(change.handle);
}

void FakeChunkStore::SetCommitted(ChunkHandle handle, uint64_t length) {
  absl::MutexLock lock(&mutex_);
  if (Replica* replica = Find(handle))
    replica->state.committed_length = std::max(replica->state.committed_length, length);
}

absl::StatusOr<ReadResult> FakeChunkStore::Slice(ChunkHandle handle, uint64_t offset,
                                                 uint32_t length, bool durable) {
  absl::MutexLock lock(&mutex_);
  Replica* replica = Find(handle);
  if (replica == nullptr) return Unknown(handle);
  if (replica->state.damaged) return MakeError(v1::REPLICA_DAMAGED, "damaged");
  ReadResult result;
  result.committed_length = replica->state.committed_length;
  result.durable_length = replica->bytes.size();
  const uint64_t end = durable ? result.durable_length : result.committed_length;
  if (offset < end)
    result.payload =
        Buffer::From(replica->bytes.substr(offset, std::min<uint64_t>(length, end - offset)));
  result.crc32c = Crc32c(result.payload.view());
  return result;
}

absl::StatusOr<ReadResult> FakeChunkStore::Read(ChunkHandle handle, uint64_t offset,
                                                uint32_t length) {
  return Slice(handle, offset, length, /*durable=*/false);
}

absl::StatusOr<ReadResult> FakeChunkStore::Fetch(ChunkHandle handle, uint64_t offset,
                                                 uint32_t length) {
  return Slice(handle, offset, length, /*durable=*/true);
}

absl::StatusOr<ReplicaState> FakeChunkStore::State(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  auto found = replicas_.find(handle);
  if (found == replicas_.end()) return Unknown(handle);
  ReplicaState state = found->second.state;
  state.durable_length = found->second.bytes.size();
  state.memory = found->second.memory.ToProto();
  return state;
}

std::vector<ReplicaState> FakeChunkStore::List(ChunkHandle after, size_t limit) const {
  absl::MutexLock lock(&mutex_);
  std::vector<ReplicaState> states;
  for (auto it = replicas_.upper_bound(after); it != replicas_.end() && states.size() < limit;
       ++it) {
    states.push_back(it->second.state);
    states.back().durable_length = it->second.bytes.size();
  }
  return states;
}

absl::StatusOr<uint32_t> FakeChunkStore::PrefixCrc32c(ChunkHandle handle, uint64_t length) {
  absl::MutexLock lock(&mutex_);
  Replica* replica = Find(handle);
  if (replica == nullptr) return Unknown(handle);
  if (replica->state.damaged) return MakeError(v1::REPLICA_DAMAGED, "damaged");
  return Crc32c(std::string_view(replica->bytes).substr(0, length));
}

absl::StatusOr<std::unique_ptr<ChunkStore::Import>> FakeChunkStore::BeginImport(
    const ReplicaIdentity& identity, Epoch epoch) {
  absl::MutexLock lock(&mutex_);
  if (const Replica* held = Find(identity.handle); held != nullptr && !held->state.damaged)
    return MakeError(v1::ENTRY_EXISTS, StrCat("chunk=", identity.handle, " is held here already"));
  return std::make_unique<FakeImport>(*this, identity, epoch);
}

ChunkStore::Usage FakeChunkStore::usage() const {
  absl::MutexLock lock(&mutex_);
  Usage usage;
  usage.total_bytes = 1 << 30;
  usage.available_bytes = 1 << 29;
  usage.chunks = replicas_.size();
  usage.highest_handle = replicas_.empty() ? 0 : replicas_.rbegin()->first.value();
  usage.unapplied_bytes = unapplied_;
  return usage;
}

}  // namespace appendfs
