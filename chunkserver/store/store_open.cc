// StoreCore: making and opening a data directory.

#include <glog/logging.h>

#include "absl/hash/hash.h"
#include "chunkserver/store/layout.h"
#include "chunkserver/store/store_core.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// Tells this journal's bytes from any other's. Unique, not secret.
uint64_t DrawJournalId(const Clock& clock, const std::string& directory) {
  static const int kSomewhere = 0;  // its address differs between processes
  return absl::HashOf(clock.WallNanos(), clock.Monotonic().count(), directory, &kSomewhere) | 1;
}

absl::StatusOr<bool> HoldsChunks(FileSystem& fs, const std::string& directory) {
  for (uint32_t i = 0; i < layout::kFanOut; ++i) {
    const std::string path = layout::FanOutDirectory(directory, i);
    APPENDFS_ASSIGN_OR_RETURN(bool exists, fs.Exists(path));
    if (!exists) continue;
    APPENDFS_ASSIGN_OR_RETURN(auto names, fs.List(path));
    if (!names.empty()) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreCore>> StoreCore::Open(FileSystem& fs, const Clock& clock,
                                                           std::string directory,
                                                           const StoreOptions& options) {
  auto core = std::unique_ptr<StoreCore>(new StoreCore(fs, std::move(directory), options));
  APPENDFS_RETURN_IF_ERROR(core->Load(clock));
  return core;
}

absl::Status StoreCore::MakeDirectory(const Clock& clock) {
  APPENDFS_ASSIGN_OR_RETURN(bool holds_chunks, HoldsChunks(fs_, directory_));
  if (holds_chunks)
    return MakeError(v1::INPUT_OUTPUT,
                     StrCat(layout::IdentityPath(directory_),
                            " is missing, but the directory holds chunks; restore it or start "
                            "this server on an empty directory"));
  APPENDFS_RETURN_IF_ERROR(fs_.MakeDirectory(layout::JournalDirectory(directory_)));
  APPENDFS_RETURN_IF_ERROR(fs_.MakeDirectory(layout::ChunksDirectory(directory_)));
  for (uint32_t i = 0; i < layout::kFanOut; ++i)
    APPENDFS_RETURN_IF_ERROR(fs_.MakeDirectory(layout::FanOutDirectory(directory_, i)));
  APPENDFS_RETURN_IF_ERROR(fs_.SyncDirectory(layout::ChunksDirectory(directory_)));
  APPENDFS_RETURN_IF_ERROR(
      ReplaceFile(fs_, layout::CheckpointPath(directory_), EncodeCheckpoint(CheckpointFile())));
  const size_t slash = directory_.rfind('/');
  APPENDFS_RETURN_IF_ERROR(fs_.SyncDirectory(slash == std::string::npos ? "."
                                             : slash == 0               ? "/"
                                                          : directory_.substr(0, slash)));
  // The last step: a directory with an identity is complete.
  IdentityFile file{.journal_id = DrawJournalId(clock, directory_)};
  return ReplaceFile(fs_, layout::IdentityPath(directory_), EncodeIdentity(file));
}

absl::Status StoreCore::Load(const Clock& clock) {
  APPENDFS_RETURN_IF_ERROR(fs_.MakeDirectory(directory_));
  APPENDFS_ASSIGN_OR_RETURN(directory_lock_, fs_.LockFile(layout::LockPath(directory_)));
  // A file that an earlier process renamed without living to sync the directory
  // is believed from here on: it must not become the older one again.
  APPENDFS_RETURN_IF_ERROR(fs_.SyncDirectory(directory_));
  const std::string identity_path = layout::IdentityPath(directory_);
  APPENDFS_ASSIGN_OR_RETURN(bool exists, fs_.Exists(identity_path));
  if (!exists) APPENDFS_RETURN_IF_ERROR(MakeDirectory(clock));
  APPENDFS_ASSIGN_OR_RETURN(std::string content, ReadWholeFile(fs_, identity_path));
  APPENDFS_ASSIGN_OR_RETURN(IdentityFile identity, DecodeIdentity(content, identity_path));

  Journal::Options journal_options;
  journal_options.segment_bytes = options_.segment_bytes;
  journal_options.max_bytes = options_.max_journal_bytes;
  APPENDFS_ASSIGN_OR_RETURN(journal_, Journal::Open(fs_, layout::JournalDirectory(directory_),
                                                    identity.journal_id, journal_options));
  RecoverStoreOptions recovery{.cluster_uuid = identity.identity.cluster_uuid,
                               .max_unapplied_bytes = options_.max_unapplied_bytes / 2};
  APPENDFS_ASSIGN_OR_RETURN(RecoveredStore found,
                            RecoverStore(fs_, directory_, *journal_, recovery));
  for (const std::string& problem : found.problems) LOG(WARNING) << directory_ << ": " << problem;
  if (found.torn_tail)
    LOG(INFO) << directory_ << ": cut a torn journal group that was never synced";
  LOG(INFO) << directory_ << ": " << found.replicas.size() << " replicas, " << found.groups_replayed
            << " journal groups replayed";
  journal_->StartAt(found.next_sequence, found.previous_sequence);
  {
    absl::MutexLock lock(&mutex_);
    identity_ = std::move(identity);
    replicas_ = std::move(found.replicas);
    deleted_ = std::move(found.checkpoint.deleted);
    highest_handle_ = found.checkpoint.highest_handle;
    removals_ = std::move(found.removals);
    completed_ = found.previous_sequence;
    checkpointed_ = found.checkpoint_known ? found.checkpoint.first_live_group - 1 : kNone;
    for (const auto& [handle, replica] : replicas_) {
      unapplied_bytes_ += replica->unapplied();
      if (replica->unapplied() > 0 || replica->file_too_long()) to_apply_.insert(handle);
      if (replica->dirty()) dirty_.insert(handle);
    }
  }
  if (journal_->WantsSegment()) APPENDFS_RETURN_IF_ERROR(journal_->MakeSegment());
  APPENDFS_RETURN_IF_ERROR(RefreshSpace());
  // What was found damaged stays so, whatever becomes of the journal that
  // showed it; and nothing is promised on a checkpoint file nobody can read.
  if (!found.problems.empty()) return Checkpoint();
  return absl::OkStatus();
}

}  // namespace appendfs
