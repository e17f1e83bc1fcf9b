#pragma once

#include <memory>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/meta_log.h"
#include "proto/master.pb.h"

namespace appendfs {

// Which clients there are and what they have open. Client ids are durable (in
// the log); opens are soft and reclaimed after a restart. Thread-safe.
class SessionTable {
 public:
  virtual ~SessionTable() = default;
  // A session that has neither been closed nor timed out.
  virtual bool IsLive(ClientId client) const = 0;
  virtual size_t count() const = 0;
};

}  // namespace appendfs
