// DiskSet: opening the directories, and finding out what lies where.

#include <glog/logging.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>
#include <utility>

#include "chunkserver/store/disk_set_disk.h"
#include "chunkserver/store/layout.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// Errors of the disk, as opposed to those of whoever chose the directory.
bool IsOfTheDisk(const absl::Status& status) {
  constexpr Reason kOfTheOperator[] = {v1::WRONG_CLUSTER, v1::WRONG_SERVER, v1::VERSION_MISMATCH,
                                       v1::NOT_READY};
  return std::none_of(std::begin(kOfTheOperator), std::end(kOfTheOperator),
                      [&](Reason reason) { return HasReason(status, reason); });
}

absl::Status CheckNames(const std::vector<std::string>& directories) {
  if (directories.empty()) return MakeError(v1::INVALID, "a chunk store needs a data directory");
  std::set<std::string> names;
  for (const std::string& directory : directories)
    if (!names.insert((std::filesystem::path(directory) / "").lexically_normal()).second)
      return MakeError(v1::INVALID, StrCat("data directory ", directory, " is named twice"));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ThreadedChunkStore>> OpenOne(FileSystem& fs, const Clock& clock,
                                                            const std::string& directory,
                                                            bool may_make,
                                                            const StoreOptions& options) {
  if (!may_make) {
    APPENDFS_ASSIGN_OR_RETURN(bool exists, fs.Exists(directory));
    if (!exists)
      return MakeError(v1::NO_ENTRY, StrCat(directory,
                                            " is missing; mount its disk, or make an "
                                            "empty directory for a new one"));
  }
  return ThreadedChunkStore::Open(fs, clock, directory, options);
}

// Of two replicas of one chunk the first is kept. The older one was lost with
// its disk, and the master has had another one made since. A damaged replica
// says nothing about its age: only a sealed one, which is final, goes before it.
bool GoesBefore(const ReplicaState& a, const ReplicaState& b) {
  if (a.damaged || b.damaged) return a.damaged ? !(b.sealed && !b.damaged) : a.sealed;
  if (a.epoch != b.epoch) return a.epoch > b.epoch;
  if (a.sealed != b.sealed) return a.sealed;
  return a.durable_length > b.durable_length;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChunkStore>> DiskSet::Open(
    FileSystem& fs, const Clock& clock, const std::vector<std::string>& directories,
    const StoreOptions& options) {
  auto set = std::unique_ptr<DiskSet>(new DiskSet());
  APPENDFS_RETURN_IF_ERROR(set->OpenAll(fs, clock, directories, options));
  APPENDFS_RETURN_IF_ERROR(set->AgreeOnIdentity());
  set->FindReplicas();
  return set;
}

absl::Status DiskSet::OpenAll(FileSystem& fs, const Clock& clock,
                              const std::vector<std::string>& directories,
                              const StoreOptions& options) {
  APPENDFS_RETURN_IF_ERROR(CheckNames(directories));
  // A server that has a directory already does not make missing ones: they are
  // on disks that are not mounted. An empty one is a new disk.
  bool established = false;
  for (const std::string& directory : directories) {
    absl::StatusOr<bool> exists = fs.Exists(layout::IdentityPath(directory));
    established = established || !exists.ok() || *exists;
  }
  const bool may_make = !established || directories.size() == 1;
  std::vector<absl::Status> outcomes(directories.size());
  std::vector<std::thread> openers;  // each waits for its own disk
  for (size_t i = 0; i < directories.size(); ++i) {
    Disk& disk = *disks_.emplace_back(std::make_unique<Disk>(*this, directories[i]));
    openers.emplace_back([&, &disk = disk, i] {
      auto store = OpenOne(fs, clock, directories[i], may_make, options);
      outcomes[i] = store.status();
      if (store.ok()) disk.store = *std::move(store);
    });
  }
  for (std::thread& opener : openers) opener.join();
  absl::Status first_failure;
  bool any = false;
  for (size_t i = 0; i < directories.size(); ++i) {
    const absl::Status& outcome = outcomes[i];
    any = any || outcome.ok();
    if (outcome.ok()) continue;
    if (!IsOfTheDisk(outcome)) return outcome;
    LOG(ERROR) << "disk " << directories[i] << " is not used: " << outcome.message();
    if (first_failure.ok()) first_failure = outcome;
    absl::MutexLock lock(&mutex_);
    disks_[i]->failure = std::string(outcome.message());
  }
  return any ? absl::OkStatus() : first_failure;
}

absl::Status DiskSet::AgreeOnIdentity() {
  const Disk* first = nullptr;
  for (const auto& disk : disks_)
    if (disk->store && disk->store->identity().server && first == nullptr) first = disk.get();
  if (first == nullptr) return absl::OkStatus();
  const StoreIdentity ours = first->store->identity();
  for (const auto& disk : disks_) {
    if (!disk->store) continue;
    const StoreIdentity identity = disk->store->identity();
    if (!identity.server && identity.cluster_uuid.empty()) {
      APPENDFS_RETURN_IF_ERROR(disk->store->SetIdentity(ours));
      LOG(INFO) << "disk " << disk->directory << " is new to server " << ours.server;
    } else if (identity.cluster_uuid != ours.cluster_uuid) {
      return MakeError(v1::WRONG_CLUSTER,
                       StrCat(first->directory, " belongs to cluster ", ours.cluster_uuid, ", ",
                              disk->directory, " to cluster ", identity.cluster_uuid,
                              "; a server's directories are all of one cluster"));
    } else if (identity.server != ours.server) {
      return MakeError(v1::WRONG_SERVER, StrCat(first->directory, " belongs to server ",
                                                ours.server, ", ", disk->directory, " to server ",
                                                identity.server, "; start each server on its own"));
    }
  }
  return absl::OkStatus();
}

void DiskSet::FindReplicas() {
  constexpr size_t kPage = 1024;
  absl::MutexLock lock(&mutex_);
  for (const auto& disk : disks_) {
    if (!disk->store) continue;
    ChunkHandle after;
    std::vector<ReplicaState> page;
    do {
      page = disk->store->List(after, kPage);
      for (const ReplicaState& state : page) {
        after = state.identity.handle;
        if (Disk* known = Find(after))
          ChooseBetween(after, *known, *disk);
        else
          SetRoute(after, *disk);
      }
    } while (page.size() == kPage);
  }
}

void DiskSet::ChooseBetween(ChunkHandle handle, Disk& known, Disk& other) {
  const bool known_first = GoesBefore(*known.store->StateWithoutMemory(handle),
                                      *other.store->StateWithoutMemory(handle));
  Disk& kept = known_first ? known : other;
  Disk& old = known_first ? other : known;
  LOG(WARNING) << "chunk=" << handle << " lies in " << kept.directory << " and, older, in "
               << old.directory << ", where it is deleted";
  SetRoute(handle, kept);
  old.store->Discard(handle);
}

}  // namespace appendfs
