#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/membership.h"
#include "common/link/server_stream.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// A client's append stream: hands its batches to the engine and brings back
// the outcomes. Reads on only while the client's batches in flight, and what
// the store has yet to apply, are within bounds.
class AppendStream final : public ServerStream<v1::AppendReply>, public ClientSink {
 public:
  static constexpr int64_t kMaxBytesInFlight = 32 << 20;

  AppendStream(std::shared_ptr<FrameLink> link, Engine& engine, Membership& membership)
      : ServerStream(std::move(link)), engine_(engine), membership_(membership) {}

  // ClientSink
  void Queue(const ClientOutcome& outcome) override;
  void Release(uint64_t bytes) override;
  void ResumeReading() override { Pump(); }
  void Flush() override { Pump(); }

 private:
  absl::Status OnHello(const FrameParser::Frame& frame) override;
  absl::Status OnMessage(const FrameParser::Frame& frame) override;
  bool Admitted() override;
  void OnEnded() override;

  Engine& engine_;
  Membership& membership_;
  ClientId client_;  // of the link's thread
  StreamId stream_;  // set before the first batch
  std::atomic<int64_t> bytes_in_flight_{0};
};

}  // namespace appendfs
