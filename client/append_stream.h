#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/append_types.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"
#include "common/link/io_threads.h"
#include "common/status.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

class AppendStream;

// Where outcomes for one chunk go. Called from the link's thread, holding no
// lock, in the order in which they arrived.
class AppendSink {
 public:
  virtual ~AppendSink() = default;
  virtual void OnOutcome(const v1::AppendOutcome& outcome) = 0;
  // The last call from this stream: nothing more comes back on it.
  virtual void OnBroken(const AppendStream& stream, ChunkHandle handle,
                        const absl::Status& why) = 0;
};

// The one append stream to a chunkserver, shared by all files of the client.
// Thread-safe. What waits while a message is being written is coalesced into
// the next one. A stream that broke stays broken; ask AppendStreams for a new
// one.
class AppendStream {
 public:
  virtual ~AppendStream() = default;
  // From now on outcomes of `handle` go to `sink`, until Detach.
  virtual void Attach(ChunkHandle handle, std::weak_ptr<AppendSink> sink) = 0;
  virtual void Detach(ChunkHandle handle) = 0;
  // Queues them, to be sent in this order. False if the stream is broken.
  virtual bool Send(std::vector<OutgoingBatch> batches) = 0;
  // Sends what is queued, without blocking; without locks.
  virtual void Flush() = 0;
  // The same for what nobody waits for: many files that get a line now and
  // then share messages, at least a millisecond or two apart.
  virtual void FlushSoon() { Flush(); }
};

// Makes and keeps the streams. Thread-safe; destruction closes all streams,
// whose last callbacks end with the threads.
class AppendStreams {
 public:
  static std::unique_ptr<AppendStreams> Create(std::string cluster_uuid, IoThreads& threads,
                                               Executor& timers, const Clock& clock);
  virtual ~AppendStreams() = default;
  virtual std::shared_ptr<AppendStream> Get(const std::string& address, ClientId client) = 0;
};

}  // namespace appendfs
