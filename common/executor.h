#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"

namespace appendfs {

// Runs work later. Implementations: ThreadExecutor here, SimExecutor in
// tests/sim.
class Executor {
 public:
  virtual ~Executor() = default;
  // Work posted from one thread runs in the order it was posted.
  virtual void Post(absl::AnyInvocable<void() &&> work) = 0;
  virtual void PostAfter(Duration delay, absl::AnyInvocable<void() &&> work) = 0;
};

// One thread of its own. Destruction drops what has not started, waits for
// what runs, and joins.
std::unique_ptr<Executor> MakeThreadExecutor(std::string thread_name);

}  // namespace appendfs
