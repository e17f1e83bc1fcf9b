#pragma once

#include <memory>
#include <utility>

#include "chunkserver/engine/chunk_reader.h"
#include "chunkserver/engine/membership.h"
#include "chunkserver/engine/worker_pool.h"
#include "chunkserver/rpc/server_stream.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// The serving end of a call link: questions for lengths, reads, fetches. What
// reads a chunk's tail, in memory as a rule, is answered from the link's thread;
// what may wait for the disk by the pool.
class CallStream final : public ServerStream<v1::DataAnswer> {
 public:
  CallStream(std::shared_ptr<FrameLink> link, ChunkReader& reader, Membership& membership,
             WorkerPool& readers)
      : ServerStream(std::move(link)),
        reader_(reader),
        membership_(membership),
        readers_(readers) {}

 private:
  absl::Status OnHello(const FrameParser::Frame& frame) override;
  absl::Status OnMessage(const FrameParser::Frame& frame) override;
  void OnEnded() override {}

  void Read(uint64_t id, const v1::ReadRequest& request);
  void Fetch(uint64_t id, const v1::FetchRequest& request);
  void TailLengths(uint64_t id, const v1::TailLengthsRequest& request);
  void Answer(uint64_t id, v1::DataAnswer header, Buffer payload);
  void AnswerRead(uint64_t id, const absl::StatusOr<ReadResult>& result);

  std::shared_ptr<CallStream> Self() {
    return std::static_pointer_cast<CallStream>(this->shared_from_this());
  }

  ChunkReader& reader_;
  Membership& membership_;
  WorkerPool& readers_;
};

}  // namespace appendfs
