// A file's chunks: a new tail, its recovery, its end.

#include <algorithm>
#include <set>

#include "master/layout.h"
#include "master/namespace/operation.h"
#include "master/namespace/removal.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

void PutChunk(KeyValueTransaction& tables, const v1::ChunkRecord& record) {
  const v1::Chunk& chunk = record.chunk();
  PutRecord(tables, Table::kChunks, layout::ChunkKey(InodeId(chunk.inode()), chunk.index()),
            record);
}

absl::Status CheckMembers(const v1::AllocateChunkOp& request) {
  std::set<uint64_t> members(request.members().begin(), request.members().end());
  if (members.contains(0) || members.size() != static_cast<size_t>(request.members_size()) ||
      members.size() < kWriteQuorum || members.size() > kReplicationFactor ||
      !members.contains(request.primary_id()))
    return MakeError(v1::INVALID, StrCat("chunk ", request.handle(),
                                         ": needs two or three different members, the primary "
                                         "one of them"));
  if (request.capacity() == 0)
    return MakeError(v1::INVALID, StrCat("chunk ", request.handle(), ": no capacity"));
  return absl::OkStatus();
}

absl::Status CheckUnused(const KeyValueReader& tables, ChunkHandle handle) {
  APPENDFS_ASSIGN_OR_RETURN(uint64_t next, GetNumber(tables, layout::kNextHandleKey));
  if (!handle || handle.value() >= next)
    return MakeError(v1::INVALID, StrCat("chunk ", handle, ": the handle was not reserved"));
  for (Table table : {Table::kHandles, Table::kGarbage}) {
    APPENDFS_ASSIGN_OR_RETURN(std::optional<std::string> used,
                              tables.Get(table, layout::IdKey(handle)));
    if (used) return MakeError(v1::INVALID, StrCat("chunk ", handle, ": the handle has been used"));
  }
  return absl::OkStatus();
}

// The chunk that an operation is about, which must not be sealed.
absl::StatusOr<v1::ChunkRecord> GetUnsealed(const KeyValueReader& tables, ChunkHandle handle) {
  APPENDFS_ASSIGN_OR_RETURN(std::optional<v1::ChunkRecord> record, FindChunk(tables, handle));
  if (!record)
    return MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk ", handle, ": no file has it any more"));
  if (record->chunk().state() == v1::SEALED)
    return MakeError(v1::CHUNK_SEALED, StrCat("chunk ", handle, " is sealed"));
  return *std::move(record);
}

// An append moves the file's times, unless utimens was later.
void AdvanceTimes(v1::Attributes& attributes, uint64_t appended_ns) {
  attributes.set_ctime_ns(std::max(attributes.ctime_ns(), appended_ns));
  if (appended_ns <= attributes.mtime_set_ns()) return;
  bool was_set = attributes.mtime_set_ns() != 0;
  attributes.set_mtime_ns(was_set ? appended_ns : std::max(attributes.mtime_ns(), appended_ns));
  attributes.clear_mtime_set_ns();
}

// A recovery ends in the epoch it was logged with.
absl::Status CheckRecovery(const v1::Chunk& chunk, uint64_t epoch, uint64_t length) {
  if (epoch != chunk.epoch() || chunk.state() != v1::RECOVERING)
    return MakeError(v1::STALE_EPOCH,
                     StrCat("chunk ", chunk.handle(), " is in epoch ", chunk.epoch(),
                            ": a recovery of epoch ", epoch, " cannot end there"));
  if (length > chunk.capacity())
    return MakeError(v1::INVALID, StrCat("chunk ", chunk.handle(), ": ", length,
                                         " bytes are more than its capacity"));
  return absl::OkStatus();
}

// Keeps the record of a chunk that goes on, and in its file when it was last
// appended to.
template <class Request>
absl::Status NoteAppended(const v1::Chunk& chunk, const Request& request, v1::ChunkRecord& record,
                          Operation& operation) {
  record.set_mtime_ns(std::max(record.mtime_ns(), request.mtime_ns()));
  PutChunk(operation.tables, record);
  if (request.length() == 0) return absl::OkStatus();
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord file,
                            GetInode(operation.tables, InodeId(chunk.inode())));
  AdvanceTimes(*file.mutable_attributes(), request.mtime_ns());
  PutInode(operation.tables, file);
  return absl::OkStatus();
}

// Takes a last chunk that stayed empty out of its file.
absl::Status DropTail(v1::InodeRecord& file, const v1::Chunk& chunk, Operation& operation) {
  DiscardChunk(operation, chunk);
  file.set_chunk_count(chunk.index());
  file.set_tail_handle(0);
  file.set_tail_sealed(false);
  if (chunk.index() == 0) return absl::OkStatus();
  APPENDFS_RETURN_IF_ERROR(ScanChunksOf(operation.tables, InodeId(chunk.inode()), chunk.index() - 1,
                                        [&](v1::ChunkRecord& previous) {
                                          file.set_tail_handle(previous.chunk().handle());
                                          file.set_tail_sealed(true);
                                          return false;
                                        }));
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyAllocateChunk(const v1::AllocateChunkOp& request, Operation& operation) {
  KeyValueTransaction& tables = operation.tables;
  APPENDFS_RETURN_IF_ERROR(CheckMembers(request));
  ChunkHandle handle(request.handle());
  APPENDFS_RETURN_IF_ERROR(CheckUnused(tables, handle));
  InodeId inode(request.inode());
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord file, GetInode(tables, inode));
  if (file.attributes().type() != v1::REGULAR)
    return MakeError(v1::INVALID, StrCat("inode ", inode, " is not a regular file"));
  if (file.tail_handle() != request.after_handle())
    return MakeError(v1::INVALID, StrCat("inode ", inode, " ends with chunk ", file.tail_handle(),
                                         ", not with chunk ", request.after_handle()));
  if (file.tail_handle() != 0 && !file.tail_sealed())
    return MakeError(v1::INVALID, StrCat("chunk ", file.tail_handle(), " is not sealed"));

  v1::ChunkRecord record;
  v1::Chunk& chunk = *record.mutable_chunk();
  chunk.set_handle(handle.value());
  chunk.set_inode(inode.value());
  chunk.set_index(file.chunk_count());
  chunk.set_base_offset(file.attributes().sealed_bytes());
  chunk.set_epoch(1);
  chunk.set_state(v1::OPEN);
  chunk.set_primary_id(request.primary_id());
  chunk.set_capacity(request.capacity());
  for (uint64_t member : request.members()) chunk.add_replicas()->set_server_id(member);
  record.mutable_memory()->Swap(file.mutable_memory());
  record.set_mtime_ns(file.attributes().mtime_ns());
  PutChunk(tables, record);

  v1::HandleRecord place;
  place.set_inode(inode.value());
  place.set_index(chunk.index());
  PutRecord(tables, Table::kHandles, layout::IdKey(handle), place);

  file.clear_memory();
  file.set_chunk_count(chunk.index() + 1);
  file.set_tail_handle(handle.value());
  file.set_tail_sealed(false);
  PutInode(tables, file);
  *operation.result.mutable_chunk() = std::move(record);
  return absl::OkStatus();
}

absl::Status ApplyBeginRecovery(const v1::BeginRecoveryOp& request, Operation& operation) {
  ChunkHandle handle(request.handle());
  APPENDFS_ASSIGN_OR_RETURN(v1::ChunkRecord record, GetUnsealed(operation.tables, handle));
  v1::Chunk& chunk = *record.mutable_chunk();
  if (request.epoch() != chunk.epoch() + 1)
    return MakeError(v1::STALE_EPOCH, StrCat("chunk ", handle, " is in epoch ", chunk.epoch(),
                                             ": epoch ", request.epoch(), " cannot follow"));
  chunk.set_epoch(request.epoch());
  chunk.set_state(v1::RECOVERING);
  chunk.clear_length();
  chunk.clear_crc32c();
  chunk.set_primary_id(0);
  PutChunk(operation.tables, record);
  *operation.result.mutable_chunk() = std::move(record);
  return absl::OkStatus();
}

absl::Status ApplyReopenChunk(const v1::ReopenChunkOp& request, Operation& operation) {
  ChunkHandle handle(request.handle());
  APPENDFS_ASSIGN_OR_RETURN(v1::ChunkRecord record, GetUnsealed(operation.tables, handle));
  v1::Chunk& chunk = *record.mutable_chunk();
  APPENDFS_RETURN_IF_ERROR(CheckRecovery(chunk, request.epoch(), request.length()));
  auto is_primary = [&](const auto& member) { return member.server_id() == request.primary_id(); };
  if (std::none_of(chunk.replicas().begin(), chunk.replicas().end(), is_primary))
    return MakeError(v1::INVALID, StrCat("chunk ", handle, ": server ", request.primary_id(),
                                         " is no member of it"));
  chunk.set_state(v1::OPEN);
  chunk.set_primary_id(request.primary_id());
  record.clear_memory();
  APPENDFS_RETURN_IF_ERROR(NoteAppended(chunk, request, record, operation));
  *operation.result.mutable_chunk() = std::move(record);
  return absl::OkStatus();
}

absl::Status ApplyParkChunk(const v1::ParkChunkOp& request, Operation& operation) {
  ChunkHandle handle(request.handle());
  APPENDFS_ASSIGN_OR_RETURN(v1::ChunkRecord record, GetUnsealed(operation.tables, handle));
  v1::Chunk& chunk = *record.mutable_chunk();
  APPENDFS_RETURN_IF_ERROR(CheckRecovery(chunk, request.epoch(), request.length()));
  chunk.set_state(v1::PARKED);
  chunk.set_length(request.length());
  chunk.set_crc32c(request.crc32c());
  *record.mutable_memory() = request.memory();
  APPENDFS_RETURN_IF_ERROR(NoteAppended(chunk, request, record, operation));
  *operation.result.mutable_chunk() = std::move(record);
  return absl::OkStatus();
}

absl::Status ApplySealChunk(const v1::SealChunkOp& request, Operation& operation) {
  KeyValueTransaction& tables = operation.tables;
  ChunkHandle handle(request.handle());
  APPENDFS_ASSIGN_OR_RETURN(v1::ChunkRecord record, GetUnsealed(tables, handle));
  v1::Chunk& chunk = *record.mutable_chunk();
  bool as_parked = chunk.state() == v1::PARKED && request.epoch() == chunk.epoch() &&
                   request.length() == chunk.length() && request.crc32c() == chunk.crc32c();
  if (!as_parked) APPENDFS_RETURN_IF_ERROR(CheckRecovery(chunk, request.epoch(), request.length()));
  APPENDFS_ASSIGN_OR_RETURN(v1::InodeRecord file, GetInode(tables, InodeId(chunk.inode())));

  chunk.set_state(v1::SEALED);
  chunk.set_length(request.length());
  chunk.set_crc32c(request.crc32c());
  record.clear_memory();
  *file.mutable_memory() = request.memory();
  if (request.length() == 0) {
    APPENDFS_RETURN_IF_ERROR(DropTail(file, chunk, operation));
  } else {
    record.set_mtime_ns(request.mtime_ns());
    PutChunk(tables, record);
    v1::Attributes& attributes = *file.mutable_attributes();
    attributes.set_sealed_bytes(attributes.sealed_bytes() + request.length());
    AdvanceTimes(attributes, request.mtime_ns());
    file.set_tail_sealed(true);
  }
  PutInode(tables, file);
  *operation.result.mutable_chunk() = std::move(record);
  return absl::OkStatus();
}

absl::Status ApplyForgetGarbage(const v1::ForgetGarbageOp& request, Operation& operation) {
  for (uint64_t handle : request.handles())
    operation.tables.Delete(Table::kGarbage, layout::IdKey(ChunkHandle(handle)));
  return absl::OkStatus();
}

}  // namespace appendfs
