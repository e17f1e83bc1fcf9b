#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/append_types.h"
#include "common/ids.h"
#include "common/status.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

class AppendStream;

// Where outcomes for one chunk go. Called from threads of gRPC, holding no
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
  // Sends in this order, without blocking. False if the stream is broken.
  virtual bool Send(std::vector<OutgoingBatch> batches) = 0;
};

// Makes and keeps the streams. Thread-safe; destruction ends all streams and
// waits until no callback runs any more.
class AppendStreams {
 public:
  static std::unique_ptr<AppendStreams> Create(std::string cluster_uuid);
  virtual ~AppendStreams() = default;
  virtual std::shared_ptr<AppendStream> Get(const std::string& address, ClientId client) = 0;
};

}  // namespace appendfs
