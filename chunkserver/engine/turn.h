#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "chunkserver/engine/links.h"

namespace appendfs {

// What one pass through the engine leaves to be done once its lock is
// released: streams to flush, callbacks to run, events to post.
class Turn {
 public:
  using Outlets = absl::InlinedVector<std::shared_ptr<Outlet>, 4>;

  void Flush(const std::shared_ptr<Outlet>& outlet) { AddOnce(outlets_, outlet); }
  // Has something that can wait for the next message, or the engine's next tick.
  void FlushLater(const std::shared_ptr<Outlet>& outlet) { AddOnce(later_, outlet); }
  Outlets TakeLater() { return std::move(later_); }
  // Has something that gathers with what follows within Engine::kGather.
  void FlushSoon(const std::shared_ptr<Outlet>& outlet) { AddOnce(soon_, outlet); }
  Outlets TakeSoon() { return std::move(soon_); }
  void Call(absl::AnyInvocable<void() &&> call) { calls_.push_back(std::move(call)); }
  void Report(const ChunkEvent& event) { events_.push_back(event); }

  // Without locks, once.
  void Run(EventSink& events) {
    for (const auto& outlet : outlets_) outlet->Flush();
    for (auto& call : calls_) std::move(call)();
    for (const ChunkEvent& event : events_) events.Post(event);
  }

 private:
  static void AddOnce(Outlets& outlets, const std::shared_ptr<Outlet>& outlet) {
    for (const auto& known : outlets)
      if (known == outlet) return;
    outlets.push_back(outlet);
  }

  Outlets outlets_, later_, soon_;
  std::vector<absl::AnyInvocable<void() &&>> calls_;
  std::vector<ChunkEvent> events_;
};

}  // namespace appendfs
