#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/links.h"
#include "chunkserver/engine/membership.h"
#include "common/executor.h"

namespace appendfs {

// The streams from this server, as primary, to all others: one each, made when
// there is something to send, made again (20 ms to 1 s apart) after it broke.
// Thread-safe; owned by the process, outlives the engine's last pass.
class PeerStreams final : public PeerLinks {
 public:
  // `timers` only delays attempts to connect again.
  PeerStreams(Membership& membership, Executor& timers);
  ~PeerStreams() override;

  // Where votes go; before the first link is made.
  void SetEngine(Engine* engine) { engine_ = engine; }
  std::shared_ptr<PeerLink> To(ServerId server, const std::string& address) override;
  // Breaks all streams and waits until gRPC has let go of them.
  void Stop();

 private:
  class Link;
  class Stream;

  void StreamBegun();
  void StreamEnded();

  Membership& membership_;
  Executor& timers_;
  Engine* engine_ = nullptr;

  absl::Mutex mutex_;
  absl::flat_hash_map<ServerId, std::shared_ptr<Link>> links_ ABSL_GUARDED_BY(mutex_);
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;  // gRPC has not let go of
};

}  // namespace appendfs
