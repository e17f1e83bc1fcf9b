#pragma once

#include <cstdint>
#include <string>

#include "common/status.h"
#include "master/kv.h"

namespace appendfs {

// What the tables hold before the first operation: the root directory, the
// counters, the format version and a new cluster uuid. True if they were empty
// and have been filled.
absl::StatusOr<bool> FormatIfEmpty(KeyValueTransaction& tables, uint64_t now_ns);

struct Identity {
  std::string cluster_uuid;
  uint64_t applied_index = 0;
};
// VERSION_MISMATCH if the tables were made by a newer program than this.
absl::StatusOr<Identity> ReadIdentity(const KeyValueReader& tables);

}  // namespace appendfs
