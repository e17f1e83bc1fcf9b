#include "chunkserver/rpc/append_stream.h"

#include <memory>
#include <utility>

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {

void AppendStream::Queue(const ClientOutcome& outcome) {
  Release(outcome.released_bytes);
  replies().Add(0, [&](auto& parcel) {
    v1::AppendOutcome& to = *parcel.header.add_outcomes();
    to.set_handle(outcome.handle.value());
    to.set_epoch(outcome.epoch.value());
    to.set_sequence(outcome.sequence.value());
    if (!outcome.status.ok()) {
      *to.mutable_error() = ToProto(outcome.status);
      return;
    }
    to.set_offset(outcome.offset.bytes());
    to.set_mtime_ns(outcome.mtime_ns);
  });
}

void AppendStream::Release(uint64_t bytes) {
  bytes_in_flight_.fetch_sub(static_cast<int64_t>(bytes));
}

bool AppendStream::Admitted() {
  return bytes_in_flight_.load() < kMaxBytesInFlight && engine_.AdmitsClients();
}

absl::Status AppendStream::OnHello(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto request, ParseHeader<v1::AppendRequest>(frame));
  if (!request.has_hello() || request.batches_size() > 0 || request.hello().client_id() == 0)
    return MakeError(v1::INVALID, "the first message of an append stream is a hello alone");
  APPENDFS_RETURN_IF_ERROR(membership_.CheckHello(request.hello()));
  client_ = ClientId(request.hello().client_id());
  stream_ = engine_.AddClient(std::static_pointer_cast<AppendStream>(this->shared_from_this()));
  return absl::OkStatus();
}

absl::Status AppendStream::OnMessage(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto request, ParseHeader<v1::AppendRequest>(frame));
  const Buffer& payload = frame.payload;
  std::vector<ClientBatch> batches;
  batches.reserve(request.batches_size());
  uint64_t at = 0;
  for (const v1::AppendBatch& from : request.batches()) {
    if (from.length() > payload.size() - at)
      return MakeError(v1::INVALID,
                       StrCat("client=", client_, ": batches longer than the payload"));
    ClientBatch& batch = batches.emplace_back();
    batch.handle = ChunkHandle(from.handle());
    batch.epoch = Epoch(from.epoch());
    batch.client = client_;
    batch.sequence = Sequence(from.sequence());
    batch.predecessor = Sequence(from.predecessor());
    batch.conditional = from.conditional();
    batch.expected_offset = FileOffset(from.expected_offset());
    batch.payload = payload.Slice(at, from.length());
    batch.crc32c = from.crc32c();
    batch.intact = Crc32c(batch.payload.view()) == from.crc32c();
    batch.stream = stream_;
    at += from.length();
  }
  if (at != payload.size())
    return MakeError(v1::INVALID, StrCat("client=", client_, ": payload longer than the batches"));
  bytes_in_flight_.fetch_add(static_cast<int64_t>(at));
  engine_.Append(batches);
  return absl::OkStatus();
}

void AppendStream::OnEnded() {
  if (stream_) engine_.RemoveClient(stream_);
}

}  // namespace appendfs
