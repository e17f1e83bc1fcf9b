#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/status.h"
#include "master/durable_tables.h"
#include "master/meta_log.h"

namespace appendfs {

struct MetaLogOptions {
  // May be null. Outlives the log.
  MetaLogGate* gate = nullptr;
  // Told once, on the log's thread, if the log has failed: the master must
  // stop.
  std::function<void(const absl::Status&)> on_failure;
};

// A log, and what a master that has just started needs to know from it.
struct OpenedMetaLog {
  std::unique_ptr<MetaLog> log;
  std::string cluster_uuid;
  uint64_t incarnation = 0;  // of this start
  bool created = false;      // the tables were empty
};

// A log over `tables`, which it fills if they are empty. One thread applies
// what is queued, commits the whole group at once and then answers it.
// `machine` and `clock` outlive the log. Errors: VERSION_MISMATCH (the tables
// are newer than this program), INPUT_OUTPUT.
absl::StatusOr<OpenedMetaLog> OpenMetaLog(std::unique_ptr<DurableTables> tables,
                                          MetaStateMachine& machine, const Clock& clock,
                                          const MetaLogOptions& options = {});

}  // namespace appendfs
