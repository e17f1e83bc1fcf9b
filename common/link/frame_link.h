#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/buffer.h"
#include "common/link/frame.h"
#include "common/link/io_threads.h"
#include "common/status.h"
#include "google/protobuf/message_lite.h"

namespace appendfs {

// One TCP connection that carries frames both ways: the data path, where a
// round trip and what it costs in processor time decide (ARCHITECTURE.md says
// what gRPC's streams cost there). Thread-safe.
class FrameLink {
 public:
  // Who uses a link. Calls come one at a time on the link's thread, which
  // other links share: no call may block. The link keeps it until OnClosed.
  class Owner {
   public:
    virtual ~Owner() = default;
    // `frame.header` lives as long as the call. An error closes the link with it.
    virtual absl::Status OnFrame(const FrameParser::Frame& frame) = 0;
    // Whether to read on. When it turns true, Resume is to be called; what it
    // looks at is sequentially consistent, or under a lock.
    virtual bool MayRead() { return true; }
    // What Write did not finish has left now; another Write may follow.
    virtual void OnWritten() = 0;
    // Once, the last call. UNREACHABLE, or what OnFrame said.
    virtual void OnClosed(const absl::Status& why) = 0;
  };

  virtual ~FrameLink() = default;

  // Connects, if it is not an accepted one, and reads. Once; returns at once.
  virtual void Begin(std::shared_ptr<Owner> owner) = 0;
  // One at a time. True: all of it has left, or the link is broken and
  // OnClosed follows. False: OnWritten or OnClosed follows. Never blocks. Before
  // the connection stands it keeps the frame.
  virtual bool Write(const google::protobuf::MessageLite& header,
                     std::span<const Buffer> payload) = 0;
  virtual void Resume() = 0;
  // OnClosed follows, unless it has come. What was written before has left or is dropped.
  virtual void Close() = 0;

  // A link to host:port, which has a second to answer once it has begun.
  static std::shared_ptr<FrameLink> To(IoThreads& threads, const std::string& address,
                                       LinkKind kind);
};

}  // namespace appendfs
