#pragma once

#include <string>

#include "common/clock.h"
#include "master/chunks/chunk_manager.h"
#include "master/meta_log.h"
#include "master/sessions/open_inodes.h"
#include "master/sessions/sessions.h"

namespace appendfs {

// What the services of this directory stand on; everything outlives them.
struct MasterParts {
  MetaLog& log;
  OpenInodes& open_inodes;
  Sessions& sessions;
  ChunkManager& chunks;
  const Clock& clock;
  std::string cluster_uuid;
  uint64_t incarnation = 0;
  uint64_t chunk_bytes = kDefaultChunkBytes;
};

}  // namespace appendfs
