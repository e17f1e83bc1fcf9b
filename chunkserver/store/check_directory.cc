#include "chunkserver/store/check_directory.h"

#include <algorithm>
#include <limits>

#include "chunkserver/store/directory_files.h"
#include "chunkserver/store/layout.h"
#include "chunkserver/store/read_plan.h"
#include "chunkserver/store/recovery.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

absl::Status VerifyBytes(FileSystem& fs, const std::string& directory,
                         const StoredReplica& replica) {
  constexpr uint64_t kPartBytes = 4 << 20;
  std::unique_ptr<File> file;
  if (replica.applied() > 0) {
    APPENDFS_ASSIGN_OR_RETURN(file, fs.Open(layout::DataPath(directory, replica.identity().handle),
                                            FileSystem::OpenMode::kRead));
  }
  for (uint64_t at = 0; at < replica.length(); at += kPartBytes) {
    ReadPlan plan(replica, at, std::min(kPartBytes, replica.length() - at));
    APPENDFS_RETURN_IF_ERROR(plan.Run(file.get()).status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DirectoryCheck> CheckDirectory(FileSystem& fs, const std::string& directory) {
  const std::string identity_path = layout::IdentityPath(directory);
  // First, so that a wrong path is not littered with a lock file.
  APPENDFS_ASSIGN_OR_RETURN(std::string content, ReadWholeFile(fs, identity_path));
  APPENDFS_ASSIGN_OR_RETURN(auto lock, fs.LockFile(layout::LockPath(directory)));
  APPENDFS_ASSIGN_OR_RETURN(IdentityFile identity, DecodeIdentity(content, identity_path));
  APPENDFS_ASSIGN_OR_RETURN(auto journal, Journal::Open(fs, layout::JournalDirectory(directory),
                                                        identity.journal_id, {.read_only = true}));
  RecoverStoreOptions options{.cluster_uuid = identity.identity.cluster_uuid,
                              .max_unapplied_bytes = std::numeric_limits<uint64_t>::max(),
                              .read_only = true};
  APPENDFS_ASSIGN_OR_RETURN(RecoveredStore found, RecoverStore(fs, directory, *journal, options));
  DirectoryCheck check;
  check.identity = identity.identity;
  check.replicas = found.replicas.size();
  check.journal_groups = found.groups_replayed;
  check.torn_tail = found.torn_tail;
  check.problems = std::move(found.problems);
  for (const auto& [handle, replica] : found.replicas) {
    absl::Status status =
        replica->damaged() ? absl::OkStatus() : VerifyBytes(fs, directory, *replica);
    if (!status.ok())
      check.problems.push_back(StrCat("chunk=", handle, " ", FromAbsl(status.message())));
    if (replica->damaged() || !status.ok())
      ++check.damaged_replicas;
    else
      check.bytes += replica->length();
  }
  return check;
}

}  // namespace appendfs
