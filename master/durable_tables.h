#pragma once

#include <memory>

#include "common/status.h"
#include "master/kv.h"
#include "master/overlay.h"

namespace appendfs {

// Tables that keep what is committed to them: what a MetaLog on one machine
// stands on. Reads from any thread; Commit from one at a time.
class DurableTables : public KeyValueReader {
 public:
  // All changes or, after a crash, none of them; durable when it returns OK.
  // After an error nothing more may be committed.
  virtual absl::Status Commit(const Overlay& changes) = 0;
  // The state as it is now, unmoved by later commits.
  virtual std::unique_ptr<KeyValueReader> Snapshot() const = 0;
};

}  // namespace appendfs
