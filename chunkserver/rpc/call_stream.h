#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "chunkserver/engine/chunk_reader.h"
#include "chunkserver/engine/membership.h"
#include "chunkserver/engine/worker_pool.h"
#include "common/link/server_stream.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// The serving end of a call link: questions for lengths, reads, fetches. What
// reads a chunk's tail, in memory as a rule, is answered from the link's thread;
// what may wait for the disk by the pool. Reads on only while the bytes asked
// for are within bounds.
class CallStream final : public ServerStream<v1::DataAnswer> {
 public:
  static constexpr int64_t kMaxBytesUnderWay = 64 << 20;

  CallStream(std::shared_ptr<FrameLink> link, ChunkReader& reader, Membership& membership,
             WorkerPool& readers)
      : ServerStream(std::move(link)),
        reader_(reader),
        membership_(membership),
        readers_(readers) {}

 private:
  absl::Status OnHello(const FrameParser::Frame& frame) override;
  absl::Status OnMessage(const FrameParser::Frame& frame) override;
  bool Admitted() override { return bytes_under_way_.load() < kMaxBytesUnderWay; }
  void OnEnded() override {}

  struct Asked {
    uint64_t id = 0;
    int64_t bytes = 0;  // that it may take until it is answered
  };
  void Read(Asked asked, const v1::ReadRequest& request);
  void Fetch(Asked asked, const v1::FetchRequest& request);
  void TailLengths(Asked asked, const v1::TailLengthsRequest& request);
  void Answer(Asked asked, v1::DataAnswer header, Buffer payload);
  void AnswerRead(Asked asked, const absl::StatusOr<ReadResult>& result);

  std::shared_ptr<CallStream> Self() {
    return std::static_pointer_cast<CallStream>(this->shared_from_this());
  }

  ChunkReader& reader_;
  Membership& membership_;
  WorkerPool& readers_;
  std::atomic<int64_t> bytes_under_way_{0};
};

}  // namespace appendfs
