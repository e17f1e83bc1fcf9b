#include "chunkserver/engine/chunk_reader.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "common/str_cat.h"

namespace appendfs {

void ChunkReader::Read(const v1::ReadRequest& request, Answer answer) {
  if (request.length() > kMaxBytes)
    return std::move(answer)(MakeError(
        v1::INVALID, StrCat("a read of ", request.length(), " bytes; at most ", kMaxBytes)));
  if (!request.fresh()) return std::move(answer)(ReadCommitted(request));
  std::vector<FreshAsk> questions(1);
  questions[0] = {
      ChunkHandle(request.handle()), Epoch(request.epoch()), /*readable_here=*/true,
      [this, request, answer = std::move(answer)](absl::StatusOr<FreshLength> fresh) mutable {
        // Its end is the file's no more: the client has to learn what follows.
        if (fresh.ok() && fresh->sealed)
          fresh = MakeError(v1::CHUNK_SEALED,
                            StrCat("chunk=", request.handle(), " is sealed; ask the master"));
        if (fresh.ok())
          std::move(answer)(ReadFresh(request, *fresh));
        else
          std::move(answer)(fresh.status());
      }};
  engine_.AskFresh(std::move(questions));
}

absl::StatusOr<ReadResult> ChunkReader::ReadFresh(const v1::ReadRequest& request,
                                                  const FreshLength& fresh) {
  absl::StatusOr<ReadResult> result =
      store_.Read(ChunkHandle(request.handle()), request.offset(), request.length());
  if (result.ok() && result->committed_length < fresh.length)
    return MakeError(v1::NOT_READY,
                     StrCat("chunk=", request.handle(), " is committed to ", fresh.length,
                            " but readable here to ", result->committed_length));
  return result;
}

absl::StatusOr<ReadResult> ChunkReader::ReadCommitted(const v1::ReadRequest& request) {
  const ChunkHandle handle(request.handle());
  absl::StatusOr<ReadResult> result = store_.Read(handle, request.offset(), request.length());
  if (!result.ok()) return result;
  const uint64_t end = request.offset() + request.length();
  if (request.known_length() <= result->committed_length || end <= result->committed_length ||
      engine_.PromisedEpoch(handle) != Epoch(request.epoch()))
    return result;
  // Behind, but the client knows better: what is durable here under this epoch
  // is a prefix of what the primary put in order.
  const uint64_t known = request.known_length();
  if (request.offset() >= known) return result;
  const auto length =
      static_cast<uint32_t>(std::min<uint64_t>(request.length(), known - request.offset()));
  absl::StatusOr<ReadResult> durable = store_.Fetch(handle, request.offset(), length);
  if (!durable.ok()) return durable;
  durable->committed_length =
      std::max(durable->committed_length, std::min(known, durable->durable_length));
  return durable;
}

absl::StatusOr<ReadResult> ChunkReader::Fetch(const v1::FetchRequest& request) {
  const ChunkHandle handle(request.handle());
  if (request.length() > kMaxBytes)
    return MakeError(v1::INVALID,
                     StrCat("a fetch of ", request.length(), " bytes; at most ", kMaxBytes));
  Epoch promised = engine_.PromisedEpoch(handle);
  if (!promised) {
    APPENDFS_ASSIGN_OR_RETURN(ReplicaState state, store_.State(handle));
    if (state.damaged)
      return MakeError(v1::REPLICA_DAMAGED, StrCat("chunk=", handle, ": ", state.damage));
    if (!state.sealed) promised = state.epoch;
  }
  if (promised && promised != Epoch(request.epoch()))
    return MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle, " has promised epoch=", promised,
                                             ", not ", request.epoch()));
  return store_.Fetch(handle, request.offset(), request.length());
}

void ChunkReader::TailLengths(const v1::TailLengthsRequest& request,
                              absl::AnyInvocable<void(v1::TailLengthsResponse) &&> answer) {
  struct Gathering {
    v1::TailLengthsResponse response;
    std::atomic<int> missing;
    absl::AnyInvocable<void(v1::TailLengthsResponse) &&> answer;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = request.items_size() + 1;
  gathering->answer = std::move(answer);
  auto arrived = [gathering] {
    if (gathering->missing.fetch_sub(1) == 1)
      std::move(gathering->answer)(std::move(gathering->response));
  };
  for (const auto& item : request.items())
    gathering->response.add_items()->set_handle(item.handle());
  std::vector<FreshAsk> questions(request.items_size());
  for (int i = 0; i < request.items_size(); ++i) {
    v1::TailLengthsResponse::Item* item = gathering->response.mutable_items(i);
    questions[i] = {ChunkHandle(request.items(i).handle()), Epoch(request.items(i).epoch()),
                    /*readable_here=*/false, [arrived, item](absl::StatusOr<FreshLength> fresh) {
                      if (fresh.ok()) {
                        item->set_length(fresh->length);
                        item->set_mtime_ns(fresh->mtime_ns);
                        item->set_sealed(fresh->sealed);
                      } else {
                        *item->mutable_error() = ToProto(fresh.status());
                      }
                      arrived();
                    }};
  }
  engine_.AskFresh(std::move(questions));
  arrived();
}

}  // namespace appendfs
