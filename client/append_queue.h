#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/ids.h"

namespace appendfs {

// What one file has queued, for people who want to know why it waits.
struct AppendQueueReport {
  InodeId inode;
  uint64_t records = 0, bytes = 0;      // queued and not answered
  uint64_t sent_batches = 0;            // of it, on their way and not answered
  std::chrono::milliseconds waiting{};  // since the oldest was queued
  ChunkHandle chunk;                    // where they go; none: it is asked for
  Epoch epoch;
  std::string primary;  // host:port, if known
  int failures = 0;     // chunks lost or refused in a row
  std::string reason;   // the last failure in words; empty: there was none
  bool retrying() const { return failures > 0 || !reason.empty(); }
};

// What became of the queues that were given up.
struct AppendsGivenUp {
  uint64_t files = 0, records = 0, bytes = 0;
};

}  // namespace appendfs
