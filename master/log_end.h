#pragma once

#include <cstdint>
#include <string>

#include "common/file_system.h"
#include "common/status.h"

namespace appendfs {

// Where a log of RocksDB ends that may have zeros behind its last record, and
// of which only the last write may not have been synced: the end of its last
// whole record. The format is RocksDB's: blocks of 32 KiB with fragments that
// never cross them,
//
//   crc32c (4 bytes, masked) | length (2) | type (1) | bytes
//
// all little-endian; the type says full, first, middle or last fragment of a
// record; a block ends with zeros where no head fits any more.
//
// What follows the last whole record is taken for a write that power failed
// under only if it looks like one: no other record comes after it, and the
// file ends in it, or a sector of it has never been written. Anything else is
// damage, and so is a record that was good and whole once: INPUT_OUTPUT, with
// `path` and the offset.
absl::StatusOr<uint64_t> FindLogEnd(const LocalFile& file, const std::string& path);

}  // namespace appendfs
