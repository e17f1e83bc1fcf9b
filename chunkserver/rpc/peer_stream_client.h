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
#include "common/link/io_threads.h"

namespace appendfs {

// The streams from this server, as primary, to all others: one each, made when
// there is something to send, made again (20 ms to 1 s apart) after it broke.
// Thread-safe; owned by the process, outlives the engine's last pass.
class PeerStreams final : public PeerLinks {
 public:
  // `timers` only delays attempts to connect again.
  PeerStreams(Membership& membership, IoThreads& threads, Executor& timers);
  ~PeerStreams() override;

  // Where votes go; before the first link is made.
  void SetEngine(Engine* engine) { engine_ = engine; }
  std::shared_ptr<PeerLink> To(ServerId server, const std::string& address) override;
  // Closes all streams and makes no more. The last callbacks end with the threads.
  void Stop();

 private:
  class Link;
  class Stream;

  Membership& membership_;
  IoThreads& threads_;
  Executor& timers_;
  Engine* engine_ = nullptr;

  absl::Mutex mutex_;
  absl::flat_hash_map<ServerId, std::shared_ptr<Link>> links_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace appendfs
