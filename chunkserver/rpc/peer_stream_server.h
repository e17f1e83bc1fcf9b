#pragma once

#include <memory>

#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/membership.h"
#include "chunkserver/rpc/server_stream.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// The replica's end of the stream from one other server: hands READYs, COMMITs
// and confirmations to the engine and brings back the votes.
class PeerStreamServer final : public ServerStream<v1::ReplicateReply>, public VoteSink {
 public:
  PeerStreamServer(Engine& engine, Membership& membership)
      : engine_(engine), membership_(membership) {}

  // VoteSink
  void Queue(const Vote& vote) override;
  void Queue(const ConfirmAnswer& answer) override;
  void ResumeReading() override { Pump(); }
  void Flush() override { Pump(); }

 private:
  absl::Status OnHello(const grpc::ByteBuffer& message) override;
  absl::Status OnMessage(const grpc::ByteBuffer& message) override;
  bool MayRead() override { return engine_.AdmitsPeers(); }
  void OnEnded() override;

  std::shared_ptr<VoteSink> Self() {
    return std::static_pointer_cast<PeerStreamServer>(this->shared_from_this());
  }

  Engine& engine_;
  Membership& membership_;
};

}  // namespace appendfs
