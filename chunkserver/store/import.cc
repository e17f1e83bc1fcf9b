#include "chunkserver/store/import.h"

#include <utility>

#include "chunkserver/store/layout.h"
#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {

ReplicaImport::ReplicaImport(StoreCore& core, const ReplicaIdentity& identity, Epoch epoch,
                             RunInBackground background)
    : core_(core),
      identity_(identity),
      epoch_(epoch),
      background_(std::move(background)),
      path_(StrCat(layout::DataPath(core.directory(), identity.handle), ".import")) {}

absl::StatusOr<std::unique_ptr<ChunkStore::Import>> ReplicaImport::Begin(
    StoreCore& core, const ReplicaIdentity& identity, Epoch epoch, RunInBackground background) {
  APPENDFS_RETURN_IF_ERROR(core.BeginImport(identity.handle));
  auto import = std::unique_ptr<ReplicaImport>(
      new ReplicaImport(core, identity, epoch, std::move(background)));
  APPENDFS_ASSIGN_OR_RETURN(import->file_,
                            core.fs().Open(import->path_, FileSystem::OpenMode::kCreateOrOpen));
  APPENDFS_RETURN_IF_ERROR(import->file_->Truncate(0));
  return import;
}

ReplicaImport::~ReplicaImport() {
  if (!finished_) core_.fs().Remove(path_).IgnoreError();  // or the next start does
  core_.AbandonImport(identity_.handle);
}

absl::Status ReplicaImport::Write(std::string_view bytes) {
  const uint64_t offset = sums_.length();
  APPENDFS_RETURN_IF_ERROR(core_.FailUnlessFull(file_->Write(offset, bytes)));
  PartSums parts = SumParts(offset, bytes, 0);
  if (parts.size() == 1) parts[0] = Crc32c(bytes);
  if (!bytes.empty()) sums_.Append(bytes.size(), parts);
  return absl::OkStatus();
}

absl::Status ReplicaImport::Finish(uint64_t length, uint32_t crc32c, uint64_t mtime_ns,
                                   const v1::DedupMemory& memory) {
  if (sums_.length() != length || sums_.Whole(length) != crc32c)
    return MakeError(v1::CHECKSUM_MISMATCH,
                     StrCat("chunk=", identity_.handle, ": ", sums_.length(),
                            " bytes came that are not the ", length, " bytes meant"));
  APPENDFS_RETURN_IF_ERROR(core_.FailUnlessFull(file_->Sync()));
  Sidecar sidecar;
  sidecar.identity = identity_;
  sidecar.epoch = epoch_;
  sidecar.sealed = true;
  sidecar.length = sidecar.committed_length = length;
  sidecar.mtime_ns = mtime_ns;
  sidecar.block_crc32c = sums_.sums();
  sidecar.memory = memory;
  APPENDFS_RETURN_IF_ERROR(background_([&] { return core_.FinishImport(sidecar, path_); }));
  finished_ = true;
  return absl::OkStatus();
}

}  // namespace appendfs
