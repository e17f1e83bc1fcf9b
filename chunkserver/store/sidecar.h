#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chunkserver/store/chunk_store.h"
#include "common/status.h"

namespace appendfs {

// What lies beside a chunk file: everything about the replica but its bytes,
// as of journal group `sequence` (layout.h draws it).
struct Sidecar {
  std::string cluster_uuid;
  ReplicaIdentity identity;
  Epoch epoch;
  bool sealed = false;
  bool damaged = false;
  std::string damage;  // why
  uint64_t length = 0;
  uint64_t committed_length = 0;
  uint64_t mtime_ns = 0;
  uint64_t sequence = 0;               // journal groups up to here are contained
  std::vector<uint32_t> block_crc32c;  // of `length` bytes
  v1::DedupMemory memory;
};

std::string EncodeSidecar(const Sidecar& sidecar);
// `path` is for the message; `handle` is what the file's name says.
absl::StatusOr<Sidecar> DecodeSidecar(std::string_view content, const std::string& path,
                                      ChunkHandle handle);

}  // namespace appendfs
