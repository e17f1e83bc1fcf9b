#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "chunkserver/store/block_sums.h"
#include "chunkserver/store/chunk_store.h"
#include "common/buffer.h"
#include "common/status.h"

namespace appendfs {

// What the journal holds: the store's changes, with what replay needs beside.

struct AppendRecord {
  AppendBatch batch;
  uint64_t committed_length = 0;  // of the replica, as known when this was written
};
// An append whose bytes are durable in the chunk file before this record is: of
// them the journal has the sums. Replay finds no payload in `batch`.
struct InPlaceRecord {
  AppendBatch batch;
  uint32_t length = 0;  // bytes
  PartSums parts;
  uint64_t committed_length = 0;
};
struct ConformRecord {
  ConformReplica change;
  // Of the bytes that stay of the block `length` falls into. After a cut the
  // block may be overwritten before the next sidecar, and could no longer be
  // checked against the old one's sum.
  uint32_t last_block_crc32c = 0;
};
struct DamageRecord {
  ChunkHandle handle;
  std::string why;
};
using JournalRecord = std::variant<CreateReplica, AppendRecord, InPlaceRecord, FenceReplica,
                                   ConformRecord, DeleteReplica, DamageRecord>;

ChunkHandle HandleOf(const JournalRecord& record);
// Of either kind of append; null: another change.
const AppendBatch* BatchOf(const JournalRecord& record);

// Appends the record, without an append's payload, to `out`.
void EncodeRecord(const JournalRecord& record, std::string& out);
// Bytes it adds for an append.
inline constexpr uint64_t kAppendRecordBytes = 16 + 7 * 8;
inline uint64_t InPlaceRecordBytes(uint64_t offset, uint64_t length) {
  return kAppendRecordBytes + CountParts(offset, length) * sizeof(uint32_t);
}

// The records of one group; `payload` are the bytes behind them. Payloads are
// cut out, their checksums not checked. `section` passed its checksum before,
// so an error means a format this program does not know.
absl::StatusOr<std::vector<JournalRecord>> DecodeRecords(std::string_view section, uint32_t count,
                                                         const Buffer& payload);

}  // namespace appendfs
