#include "chunkserver/rpc/fetch_client.h"

#include <grpcpp/generic/generic_stub.h>

#include "absl/synchronization/notification.h"
#include "common/rpc/channel.h"
#include "common/rpc/payload.h"
#include "common/rpc/status.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {
namespace {

constexpr char kFetch[] = "/appendfs.v1.ChunkPeer/Fetch";
constexpr Duration kDeadline = std::chrono::seconds(5);

}  // namespace

FetchClient::FetchClient() = default;
FetchClient::~FetchClient() = default;

std::shared_ptr<grpc::Channel> FetchClient::ChannelTo(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) channel = MakeChannel(address);
  return channel;
}

absl::StatusOr<FetchedBytes> FetchClient::Fetch(const std::string& address, ChunkHandle handle,
                                                Epoch epoch, uint64_t offset, uint32_t length) {
  v1::FetchRequest request;
  request.set_handle(handle.value());
  request.set_epoch(epoch.value());
  request.set_offset(offset);
  request.set_length(length);
  const grpc::ByteBuffer sent = SerializeWithPayload(request, Buffer());
  grpc::ByteBuffer received;
  grpc::ClientContext context;
  SetDeadline(context, kDeadline);
  grpc::GenericStub stub(ChannelTo(address));
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, kFetch, grpc::StubOptions(), &sent, &received,
                 [&](grpc::Status outcome) {
                   status = std::move(outcome);
                   done.Notify();
                 });
  done.WaitForNotification();
  if (!status.ok()) return FromGrpc(status, address);
  v1::FetchResponse response;
  FetchedBytes bytes;
  APPENDFS_ASSIGN_OR_RETURN(bytes.payload, ParseWithPayload(received, response));
  bytes.crc32c = response.crc32c();
  bytes.durable_length = response.durable_length();
  return bytes;
}

}  // namespace appendfs
