#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <span>

#include "common/buffer.h"
#include "common/status.h"
#include "google/protobuf/message_lite.h"

namespace appendfs {

// Messages whose bulk bytes are in `bytes payload = 15` (proto/chunkserver.proto)
// go over raw gRPC methods: the header is ordinary protobuf, the payload is
// carried as slices beside it. The bytes on the wire are those of the message.

// `header` must have its payload unset; the parts follow each other on the wire.
grpc::ByteBuffer SerializeWithPayload(const google::protobuf::MessageLite& header,
                                      std::span<const Buffer> payload);
inline grpc::ByteBuffer SerializeWithPayload(const google::protobuf::MessageLite& header,
                                             const Buffer& payload) {
  return SerializeWithPayload(header, std::span<const Buffer>(&payload, 1));
}

// Fills `header` (its payload stays unset) and returns the payload, one
// contiguous Buffer that keeps the received bytes alive: copied only where
// gRPC delivered it in pieces. Error: INVALID.
absl::StatusOr<Buffer> ParseWithPayload(const grpc::ByteBuffer& wire,
                                        google::protobuf::MessageLite& header);

}  // namespace appendfs
