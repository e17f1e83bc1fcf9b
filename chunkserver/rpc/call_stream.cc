#include "chunkserver/rpc/call_stream.h"

namespace appendfs {

absl::Status CallStream::OnHello(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::DataCall>(frame));
  if (!call.has_hello())
    return MakeError(v1::INVALID, "the first message of a call link is a hello");
  return membership_.CheckHello(call.hello());
}

absl::Status CallStream::OnMessage(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::DataCall>(frame));
  switch (call.call_case()) {
    case v1::DataCall::kTailLengths: TailLengths(call.id(), call.tail_lengths()); break;
    case v1::DataCall::kRead: Read(call.id(), call.read()); break;
    case v1::DataCall::kFetch: Fetch(call.id(), call.fetch()); break;
    case v1::DataCall::CALL_NOT_SET:
      AnswerRead(call.id(), MakeError(v1::INVALID, "a call that this server does not know"));
      break;
  }
  return absl::OkStatus();
}

void CallStream::Answer(uint64_t id, v1::DataAnswer header, Buffer payload) {
  header.set_id(id);
  replies().AddAlone([&](auto& parcel) {
    parcel.header = std::move(header);
    if (!payload.empty()) parcel.payload.push_back(std::move(payload));
  });
  Pump();
}

void CallStream::AnswerRead(uint64_t id, const absl::StatusOr<ReadResult>& result) {
  v1::DataAnswer header;
  if (!result.ok()) {
    *header.mutable_error() = ToProto(result.status());
    return Answer(id, std::move(header), Buffer());
  }
  header.mutable_read()->set_committed_length(result->committed_length);
  header.mutable_read()->set_crc32c(result->crc32c);
  Answer(id, std::move(header), result->payload);
}

void CallStream::Read(uint64_t id, const v1::ReadRequest& request) {
  auto read = [self = Self(), id, request] {
    self->reader_.Read(request, [self, id](const absl::StatusOr<ReadResult>& result) {
      self->AnswerRead(id, result);
    });
  };
  if (request.fresh())
    read();
  else
    readers_.Post(std::move(read));
}

void CallStream::Fetch(uint64_t id, const v1::FetchRequest& request) {
  readers_.Post([self = Self(), id, request] {
    absl::StatusOr<ReadResult> result = self->reader_.Fetch(request);
    v1::DataAnswer header;
    if (!result.ok()) {
      *header.mutable_error() = ToProto(result.status());
      return self->Answer(id, std::move(header), Buffer());
    }
    header.mutable_fetch()->set_durable_length(result->durable_length);
    header.mutable_fetch()->set_crc32c(result->crc32c);
    self->Answer(id, std::move(header), result->payload);
  });
}

void CallStream::TailLengths(uint64_t id, const v1::TailLengthsRequest& request) {
  reader_.TailLengths(request, [self = Self(), id](v1::TailLengthsResponse answer) {
    v1::DataAnswer header;
    *header.mutable_tail_lengths() = std::move(answer);
    self->Answer(id, std::move(header), Buffer());
  });
}

}  // namespace appendfs
