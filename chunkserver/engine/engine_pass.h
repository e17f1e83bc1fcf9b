#pragma once

#include "chunkserver/engine/engine.h"

namespace appendfs {

// One pass through the engine: the lock, and what is to be done after it.
class ABSL_SCOPED_LOCKABLE Engine::Pass {
 public:
  explicit Pass(Engine& engine) ABSL_EXCLUSIVE_LOCK_FUNCTION(engine.mutex_) : engine_(engine) {
    engine_.mutex_.Lock();
    engine_.turn_ = &turn_;
  }
  ~Pass() ABSL_UNLOCK_FUNCTION() {
    for (auto& outlet : turn_.TakeLater()) engine_.flush_later_.insert(std::move(outlet));
    for (auto& outlet : turn_.TakeSoon()) engine_.GatherFor(std::move(outlet));
    engine_.turn_ = nullptr;
    engine_.on_store_thread_ = false;
    engine_.mutex_.Unlock();
    turn_.Run(engine_.events_);
  }

 private:
  Engine& engine_;
  Turn turn_;
};

}  // namespace appendfs
