#include "chunkserver/rpc/peer_stream_server.h"

#include <glog/logging.h>

#include <vector>

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {

void PeerStreamServer::Queue(const Vote& vote) {
  replies().Add(0, [&](auto& parcel) {
    v1::Vote& to = *parcel.header.add_votes();
    to.set_handle(vote.handle.value());
    to.set_epoch(vote.epoch.value());
    to.set_durable_length(vote.durable_length);
    if (!vote.status.ok()) *to.mutable_error() = ToProto(vote.status);
  });
}

void PeerStreamServer::Queue(const ConfirmAnswer& answer) {
  replies().Add(0, [&](auto& parcel) {
    v1::ConfirmReply& to = *parcel.header.add_confirms();
    to.set_handle(answer.handle.value());
    to.set_round(answer.round);
    to.set_promised_epoch(answer.promised.value());
    if (!answer.status.ok()) *to.mutable_error() = ToProto(answer.status);
  });
}

absl::Status PeerStreamServer::OnHello(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto request, ParseHeader<v1::ReplicateRequest>(frame));
  if (!request.has_hello())
    return MakeError(v1::INVALID, "the first message of a peer stream is a hello");
  absl::Status status = membership_.CheckHello(request.hello());
  if (!status.ok()) {
    LOG(WARNING) << "refused server " << request.hello().server_id() << ": " << status;
    return status;
  }
  engine_.AddPeer(Self());
  return absl::OkStatus();
}

absl::Status PeerStreamServer::OnMessage(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto request, ParseHeader<v1::ReplicateRequest>(frame));
  const Buffer& payload = frame.payload;
  std::vector<Ready> ready;
  std::vector<Commit> commits;
  std::vector<Confirm> confirms;
  ready.reserve(request.ready_size());
  commits.reserve(request.commits_size());
  uint64_t at = 0;
  for (const v1::ReadyBatch& from : request.ready()) {
    if (from.length() > payload.size() - at)
      return MakeError(v1::INVALID, "batches longer than the payload");
    Ready& to = ready.emplace_back();
    to.handle = ChunkHandle(from.handle());
    to.epoch = Epoch(from.epoch());
    to.offset = from.offset();
    to.payload = payload.Slice(at, from.length());
    to.crc32c = from.crc32c();
    to.client = ClientId(from.client_id());
    to.sequence = Sequence(from.sequence());
    to.mtime_ns = from.mtime_ns();
    to.intact = Crc32c(to.payload.view()) == from.crc32c();
    at += from.length();
  }
  if (at != payload.size()) return MakeError(v1::INVALID, "payload longer than the batches");
  for (const v1::CommitNotice& from : request.commits())
    commits.push_back({ChunkHandle(from.handle()), Epoch(from.epoch()), from.length()});
  for (const v1::ConfirmRequest& from : request.confirms())
    confirms.push_back({ChunkHandle(from.handle()), Epoch(from.epoch()), from.round()});
  engine_.OnReplicate(Self(), ready, commits, confirms);
  return absl::OkStatus();
}

void PeerStreamServer::OnEnded() { engine_.RemovePeer(Self()); }

}  // namespace appendfs
