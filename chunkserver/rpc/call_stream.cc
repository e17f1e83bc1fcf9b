#include "chunkserver/rpc/call_stream.h"

#include <algorithm>

namespace appendfs {
namespace {

constexpr int64_t kCallBytes = 1024;  // a call itself
constexpr int64_t kItemBytes = 256;   // a question for a length

int64_t BytesAskedFor(const v1::DataCall& call) {
  switch (call.call_case()) {
    case v1::DataCall::kTailLengths:
      return kCallBytes + kItemBytes * call.tail_lengths().items_size();
    case v1::DataCall::kRead:
      return kCallBytes + std::min(call.read().length(), ChunkReader::kMaxBytes);
    case v1::DataCall::kFetch:
      return kCallBytes + std::min(call.fetch().length(), ChunkReader::kMaxBytes);
    case v1::DataCall::CALL_NOT_SET: break;
  }
  return kCallBytes;
}

}  // namespace

absl::Status CallStream::OnHello(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::DataCall>(frame));
  if (!call.has_hello())
    return MakeError(v1::INVALID, "the first message of a call link is a hello");
  return membership_.CheckHello(call.hello());
}

absl::Status CallStream::OnMessage(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto call, ParseHeader<v1::DataCall>(frame));
  const Asked asked{call.id(), BytesAskedFor(call)};
  bytes_under_way_.fetch_add(asked.bytes);
  switch (call.call_case()) {
    case v1::DataCall::kTailLengths: TailLengths(asked, call.tail_lengths()); break;
    case v1::DataCall::kRead: Read(asked, call.read()); break;
    case v1::DataCall::kFetch: Fetch(asked, call.fetch()); break;
    case v1::DataCall::CALL_NOT_SET:
      AnswerRead(asked, MakeError(v1::INVALID, "a call that this server does not know"));
      break;
  }
  return absl::OkStatus();
}

void CallStream::Answer(Asked asked, v1::DataAnswer header, Buffer payload) {
  header.set_id(asked.id);
  replies().AddAlone([&](auto& parcel) {
    parcel.header = std::move(header);
    if (!payload.empty()) parcel.payload.push_back(std::move(payload));
  });
  bytes_under_way_.fetch_sub(asked.bytes);
  Pump();
}

void CallStream::AnswerRead(Asked asked, const absl::StatusOr<ReadResult>& result) {
  v1::DataAnswer header;
  if (!result.ok()) {
    *header.mutable_error() = ToProto(result.status());
    return Answer(asked, std::move(header), Buffer());
  }
  header.mutable_read()->set_committed_length(result->committed_length);
  header.mutable_read()->set_crc32c(result->crc32c);
  Answer(asked, std::move(header), result->payload);
}

void CallStream::Read(Asked asked, const v1::ReadRequest& request) {
  auto read = [self = Self(), asked, request] {
    self->reader_.Read(request, [self, asked](const absl::StatusOr<ReadResult>& result) {
      self->AnswerRead(asked, result);
    });
  };
  if (request.fresh())
    read();
  else
    readers_.Post(std::move(read));
}

void CallStream::Fetch(Asked asked, const v1::FetchRequest& request) {
  readers_.Post([self = Self(), asked, request] {
    absl::StatusOr<ReadResult> result = self->reader_.Fetch(request);
    v1::DataAnswer header;
    if (!result.ok()) {
      *header.mutable_error() = ToProto(result.status());
      return self->Answer(asked, std::move(header), Buffer());
    }
    header.mutable_fetch()->set_durable_length(result->durable_length);
    header.mutable_fetch()->set_crc32c(result->crc32c);
    self->Answer(asked, std::move(header), result->payload);
  });
}

void CallStream::TailLengths(Asked asked, const v1::TailLengthsRequest& request) {
  reader_.TailLengths(request, [self = Self(), asked](v1::TailLengthsResponse answer) {
    v1::DataAnswer header;
    *header.mutable_tail_lengths() = std::move(answer);
    self->Answer(asked, std::move(header), Buffer());
  });
}

}  // namespace appendfs
