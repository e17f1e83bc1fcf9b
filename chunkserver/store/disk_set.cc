#include "chunkserver/store/disk_set.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "chunkserver/store/disk_set_disk.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

ChunkHandle HandleOf(const StoreChange& change) {
  struct Visitor {
    ChunkHandle operator()(const CreateReplica& c) { return c.identity.handle; }
    ChunkHandle operator()(const AppendBatch& c) { return c.handle; }
    ChunkHandle operator()(const FenceReplica& c) { return c.handle; }
    ChunkHandle operator()(const ConformReplica& c) { return c.handle; }
    ChunkHandle operator()(const DeleteReplica& c) { return c.handle; }
  };
  return std::visit(Visitor(), change);
}

}  // namespace

void DiskSet::Disk::OnDurable(std::span<const StoreCompletion> completions) {
  // Creates and deletes are asked for with a token; of appends without one
  // there are many, and they move nothing.
  if (std::any_of(completions.begin(), completions.end(),
                  [](const StoreCompletion& completion) { return completion.token != 0; })) {
    absl::MutexLock lock(&owner_.mutex_);
    for (const StoreCompletion& completion : completions)
      if (completion.token != 0) owner_.Settle(completion.handle, *this);
  }
  owner_.listener_->OnDurable(completions);
}

void DiskSet::Disk::OnReplicaDamaged(ChunkHandle handle, const std::string& why) {
  {
    absl::MutexLock lock(&owner_.mutex_);
    if (owner_.Find(handle) != this) return;
  }
  owner_.listener_->OnReplicaDamaged(handle, why);
}

// The threads of one store still call those of another until all have stopped.
DiskSet::~DiskSet() {
  for (const auto& disk : disks_)
    if (disk->store) disk->store->Stop();
}

void DiskSet::SetRoute(ChunkHandle handle, Disk& disk) {
  EraseRoute(handle);
  routes_[handle] = &disk;
  ++disk.chunks;
}

void DiskSet::EraseRoute(ChunkHandle handle) {
  auto found = routes_.find(handle);
  if (found == routes_.end()) return;
  --found->second->chunks;
  routes_.erase(found);
}

DiskSet::Disk* DiskSet::Find(ChunkHandle handle) const {
  auto found = routes_.find(handle);
  return found == routes_.end() ? nullptr : found->second;
}

absl::StatusOr<DiskSet::Disk*> DiskSet::Holder(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  if (Disk* disk = Find(handle)) return disk;
  return MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk=", handle, " is not held here"));
}

DiskSet::Disk* DiskSet::Emptiest() const {
  Disk* best = nullptr;
  uint64_t best_available = 0;
  for (const auto& disk : disks_) {
    if (!disk->healthy()) continue;
    const Usage usage = disk->store->usage();
    // As good as equal: then the one with fewer chunks, so that disks alike
    // share the load.
    const uint64_t difference = usage.total_bytes / 50;
    const uint64_t available = usage.available_bytes;
    if (best == nullptr || available > best_available + difference ||
        (available + difference >= best_available && disk->chunks < best->chunks)) {
      best = disk.get();
      best_available = available;
    }
  }
  return best;
}

DiskSet::Disk& DiskSet::AnyDisk() const {
  Disk* any = nullptr;
  for (const auto& disk : disks_) {
    if (disk->healthy()) return *disk;
    if (disk->store) any = disk.get();  // failed: it refuses everything
  }
  return *any;  // one was opened
}

DiskSet::Disk& DiskSet::DiskFor(const StoreChange& change) {
  const ChunkHandle handle = HandleOf(change);
  if (Disk* disk = Find(handle)) return *disk;
  if (!std::holds_alternative<CreateReplica>(change)) return AnyDisk();
  for (const auto& disk : disks_)
    if (disk->store && disk->store->WasDeleted(handle)) return *disk;
  Disk* disk = Emptiest();
  if (disk == nullptr) return AnyDisk();
  SetRoute(handle, *disk);
  return *disk;
}

void DiskSet::Submit(StoreChange change, uint64_t token) {
  Disk* disk;
  {
    absl::MutexLock lock(&mutex_);
    disk = &DiskFor(change);
  }
  disk->store->Submit(std::move(change), token);
}

void DiskSet::Settle(ChunkHandle handle, Disk& disk) {
  Disk* known = Find(handle);
  if (known != nullptr && known != &disk) return;
  const bool holds = disk.healthy() && disk.store->Holds(handle);
  if (holds && known == nullptr) SetRoute(handle, disk);
  if (!holds) EraseRoute(handle);
}

void DiskSet::Retire(Disk& disk, const absl::Status& why) {
  std::vector<ChunkHandle> lost;
  size_t left = 0;
  {
    absl::MutexLock lock(&mutex_);
    disk.failure = std::string(why.message());
    for (const auto& [handle, holder] : routes_)
      if (holder == &disk) lost.push_back(handle);
    for (ChunkHandle handle : lost) EraseRoute(handle);
    for (const auto& other : disks_) left += other->healthy();
  }
  LOG(ERROR) << "disk " << disk.directory << " is retired, with " << lost.size()
             << " replicas: " << why.message() << "; " << left << " of " << disks_.size()
             << " disks are left";
  listener_->OnReplicasLost(lost, why);
  if (left == 0)
    listener_->OnStoreFailed(MakeError(
        v1::INPUT_OUTPUT, StrCat("no data directory is left; the last: ", why.message())));
}

StoreIdentity DiskSet::identity() const {
  absl::MutexLock lock(&mutex_);
  return AnyDisk().store->identity();
}

absl::Status DiskSet::SetIdentity(const StoreIdentity& identity) {
  for (const auto& disk : disks_) {
    {
      absl::MutexLock lock(&mutex_);
      if (!disk->healthy()) continue;
    }
    APPENDFS_RETURN_IF_ERROR(disk->store->SetIdentity(identity));
  }
  return absl::OkStatus();
}

void DiskSet::Start(StoreListener& listener) {
  listener_ = &listener;
  for (const auto& disk : disks_)
    if (disk->store) disk->store->Start(*disk);
}

void DiskSet::SetCommitted(ChunkHandle handle, uint64_t length) {
  auto disk = Holder(handle);
  if (disk.ok()) (*disk)->store->SetCommitted(handle, length);
}

absl::StatusOr<ReadResult> DiskSet::Read(ChunkHandle handle, uint64_t offset, uint32_t length) {
  APPENDFS_ASSIGN_OR_RETURN(Disk * disk, Holder(handle));
  return disk->store->Read(handle, offset, length);
}

absl::StatusOr<ReadResult> DiskSet::Fetch(ChunkHandle handle, uint64_t offset, uint32_t length) {
  APPENDFS_ASSIGN_OR_RETURN(Disk * disk, Holder(handle));
  return disk->store->Fetch(handle, offset, length);
}

absl::StatusOr<ReplicaState> DiskSet::State(ChunkHandle handle) const {
  APPENDFS_ASSIGN_OR_RETURN(Disk * disk, Holder(handle));
  return disk->store->State(handle);
}

std::vector<ReplicaState> DiskSet::List(ChunkHandle after, size_t limit) const {
  std::vector<ReplicaState> states;
  absl::MutexLock lock(&mutex_);
  for (auto at = routes_.upper_bound(after); at != routes_.end() && states.size() < limit; ++at)
    if (auto state = at->second->store->StateWithoutMemory(at->first))  // else: being made
      states.push_back(*std::move(state));
  return states;
}

absl::StatusOr<uint32_t> DiskSet::PrefixCrc32c(ChunkHandle handle, uint64_t length) {
  APPENDFS_ASSIGN_OR_RETURN(Disk * disk, Holder(handle));
  return disk->store->PrefixCrc32c(handle, length);
}

// Holds the handle's route until it is known what became of it.
class DiskSet::RoutedImport final : public Import {
 public:
  RoutedImport(DiskSet& owner, Disk& disk, ChunkHandle handle, std::unique_ptr<Import> import)
      : owner_(owner), disk_(disk), handle_(handle), import_(std::move(import)) {}
  ~RoutedImport() override {
    import_.reset();
    absl::MutexLock lock(&owner_.mutex_);
    owner_.Settle(handle_, disk_);
  }
  absl::Status Write(std::string_view bytes) override { return import_->Write(bytes); }
  absl::Status Finish(uint64_t length, uint32_t crc32c, uint64_t mtime_ns,
                      const v1::DedupMemory& memory) override {
    APPENDFS_RETURN_IF_ERROR(import_->Finish(length, crc32c, mtime_ns, memory));
    absl::MutexLock lock(&owner_.mutex_);
    if (!disk_.healthy()) return MakeError(v1::INPUT_OUTPUT, disk_.failure);
    return absl::OkStatus();
  }

 private:
  DiskSet& owner_;
  Disk& disk_;
  const ChunkHandle handle_;
  std::unique_ptr<Import> import_;
};

absl::StatusOr<std::unique_ptr<ChunkStore::Import>> DiskSet::BeginImport(
    const ReplicaIdentity& identity, Epoch epoch) {
  Disk* disk;
  {
    absl::MutexLock lock(&mutex_);
    disk = Find(identity.handle);
    if (disk == nullptr) {
      disk = Emptiest();
      if (disk == nullptr) return MakeError(v1::INPUT_OUTPUT, "no data directory is left");
      SetRoute(identity.handle, *disk);
    }
  }
  auto import = disk->store->BeginImport(identity, epoch);
  if (import.ok())
    return std::make_unique<RoutedImport>(*this, *disk, identity.handle, *std::move(import));
  absl::MutexLock lock(&mutex_);
  Settle(identity.handle, *disk);
  return import.status();
}

ChunkStore::Usage DiskSet::usage() const {
  Usage sum;
  absl::MutexLock lock(&mutex_);
  sum.chunks = routes_.size();
  for (const auto& disk : disks_) {
    if (!disk->store) continue;
    const Usage usage = disk->store->usage();
    sum.highest_handle = std::max(sum.highest_handle, usage.highest_handle);
    if (!disk->healthy()) continue;
    sum.total_bytes += usage.total_bytes;
    sum.available_bytes += usage.available_bytes;
    sum.unapplied_bytes += usage.unapplied_bytes;
  }
  return sum;
}

std::vector<DiskState> DiskSet::disks() const {
  std::vector<DiskState> states;
  absl::MutexLock lock(&mutex_);
  for (const auto& disk : disks_) {
    DiskState state{.directory = disk->directory, .failure = disk->failure};
    if (disk->store) {
      const Usage usage = disk->store->usage();
      state.id = disk->store->disk_id();
      state.total_bytes = usage.total_bytes;
      state.available_bytes = disk->healthy() ? usage.available_bytes : 0;
      state.chunks = disk->chunks;
    }
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace appendfs
