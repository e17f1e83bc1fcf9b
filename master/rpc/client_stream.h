#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/link/server_stream.h"
#include "master/rpc/master_calls.h"
#include "proto/master_calls.pb.h"

namespace appendfs {

// The serving end of a client's link: its calls, each answered once. Reads are
// answered on the link's thread from a snapshot, changes on the log's thread
// when they are durable. `calls` outlives it.
class ClientStream final : public ServerStream<v1::MasterAnswer> {
 public:
  // Far more than the threads of a client that could wait; appends that wait
  // for a chunk are the most.
  static constexpr int64_t kMostUnderWay = 1 << 16;

  ClientStream(std::shared_ptr<FrameLink> link, MasterCalls& calls)
      : ServerStream(std::move(link)), calls_(calls) {}

 private:
  absl::Status OnHello(const FrameParser::Frame& frame) override;
  absl::Status OnMessage(const FrameParser::Frame& frame) override;
  bool Admitted() override { return under_way_.load() < kMostUnderWay; }
  void OnEnded() override {}

  // What sends the answer to call `id`; `slot` is where it belongs.
  template <class Response>
  Reply<Response> Answer(uint64_t id, Response* (v1::MasterAnswer::*slot)());
  void Send(v1::MasterAnswer answer);

  MasterCalls& calls_;
  std::atomic<int64_t> under_way_{0};
};

}  // namespace appendfs
