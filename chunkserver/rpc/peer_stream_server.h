#pragma once

#include <memory>
#include <utility>

#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/membership.h"
#include "common/link/server_stream.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// The replica's end of the stream from one other server: hands READYs, COMMITs
// and confirmations to the engine and brings back the votes.
class PeerStreamServer final : public ServerStream<v1::ReplicateReply>, public VoteSink {
 public:
  PeerStreamServer(std::shared_ptr<FrameLink> link, Engine& engine, Membership& membership)
      : ServerStream(std::move(link)), engine_(engine), membership_(membership) {}

  // VoteSink
  void Queue(const Vote& vote) override;
  void Queue(const ConfirmAnswer& answer) override;
  void ResumeReading() override { Pump(); }
  void Flush() override { Pump(); }

 private:
  absl::Status OnHello(const FrameParser::Frame& frame) override;
  absl::Status OnMessage(const FrameParser::Frame& frame) override;
  bool Admitted() override { return engine_.AdmitsPeers(); }
  void OnEnded() override;

  std::shared_ptr<VoteSink> Self() {
    return std::static_pointer_cast<PeerStreamServer>(this->shared_from_this());
  }

  Engine& engine_;
  Membership& membership_;
};

}  // namespace appendfs
