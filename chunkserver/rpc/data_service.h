#pragma once

#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/membership.h"
#include "chunkserver/engine/reader.h"
#include "proto/chunkserver.grpc.pb.h"

namespace appendfs {

// ChunkData and ChunkPeer over gRPC: payload goes raw, so that protobuf never
// copies it. No logic here.
class DataService final
    : public v1::ChunkData::WithRawCallbackMethod_Append<v1::ChunkData::WithRawCallbackMethod_Read<
          v1::ChunkData::WithCallbackMethod_TailLengths<v1::ChunkData::Service>>> {
 public:
  DataService(Engine& engine, Membership& membership, Reader& reader)
      : engine_(engine), membership_(membership), reader_(reader) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Append(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* TailLengths(grpc::CallbackServerContext* context,
                                        const v1::TailLengthsRequest* request,
                                        v1::TailLengthsResponse* response) override;

 private:
  Engine& engine_;
  Membership& membership_;
  Reader& reader_;
};

class PeerService final : public v1::ChunkPeer::WithRawCallbackMethod_Replicate<
                              v1::ChunkPeer::WithRawCallbackMethod_Fetch<v1::ChunkPeer::Service>> {
 public:
  PeerService(Engine& engine, Membership& membership, Reader& reader)
      : engine_(engine), membership_(membership), reader_(reader) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Replicate(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Fetch(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;

 private:
  Engine& engine_;
  Membership& membership_;
  Reader& reader_;
};

}  // namespace appendfs
