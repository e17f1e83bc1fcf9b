#include "chunkserver/rpc/data_service.h"

#include <memory>
#include <utility>

#include "chunkserver/rpc/append_stream.h"
#include "chunkserver/rpc/peer_stream_server.h"
#include "common/rpc/payload.h"
#include "common/rpc/status.h"

namespace appendfs {

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* DataService::Append(
    grpc::CallbackServerContext*) {
  auto stream = std::make_shared<AppendStream>(engine_, membership_);
  stream->Begin();
  return stream.get();
}

grpc::ServerUnaryReactor* DataService::Read(grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  v1::ReadRequest wanted;
  if (auto parsed = ParseWithPayload(*request, wanted); !parsed.ok()) {
    reactor->Finish(ToGrpc(parsed.status()));
    return reactor;
  }
  reader_.Read(wanted, [reactor, response](absl::StatusOr<ReadResult> result) {
    if (!result.ok()) return reactor->Finish(ToGrpc(result.status()));
    v1::ReadResponse header;
    header.set_committed_length(result->committed_length);
    header.set_crc32c(result->crc32c);
    *response = SerializeWithPayload(header, result->payload);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* DataService::TailLengths(grpc::CallbackServerContext* context,
                                                   const v1::TailLengthsRequest* request,
                                                   v1::TailLengthsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reader_.TailLengths(*request, [reactor, response](v1::TailLengthsResponse answer) {
    *response = std::move(answer);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PeerService::Replicate(
    grpc::CallbackServerContext*) {
  auto stream = std::make_shared<PeerStreamServer>(engine_, membership_);
  stream->Begin();
  return stream.get();
}

grpc::ServerUnaryReactor* PeerService::Fetch(grpc::CallbackServerContext* context,
                                             const grpc::ByteBuffer* request,
                                             grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  v1::FetchRequest wanted;
  absl::StatusOr<ReadResult> result;
  if (auto parsed = ParseWithPayload(*request, wanted); !parsed.ok())
    result = parsed.status();
  else
    result = reader_.Fetch(wanted);
  if (!result.ok()) {
    reactor->Finish(ToGrpc(result.status()));
    return reactor;
  }
  v1::FetchResponse header;
  header.set_durable_length(result->durable_length);
  header.set_crc32c(result->crc32c);
  *response = SerializeWithPayload(header, result->payload);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace appendfs
