#pragma once

#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "client/chunk_client.h"
#include "client/chunk_list.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/ids.h"

namespace appendfs {

// Reads committed bytes from whichever replica has them right: verifies every
// answer end to end, goes on to the next replica after silence, refusal, short
// or wrong data, and reports those that are bad. Shared by all files of a
// client. Thread-safe; callbacks run on threads of gRPC.
class ReplicaReader {
 public:
  using Report = std::function<void(ChunkHandle, ServerId, Reason)>;  // to the master

  ReplicaReader(ChunkClient& chunks, const Clock& clock, Report report)
      : chunks_(chunks), clock_(clock), report_(std::move(report)) {}

  // All bytes of the pieces, one after the other, several under way at once;
  // or the first failing piece's error, after all its replicas were tried.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Buffer>) &&>;
  void Fetch(std::vector<Piece> pieces, Duration deadline, Done done);

  // Bytes at the tail and its committed length now, from its primary alone.
  struct Fresh {
    uint64_t committed_length = 0;
    Buffer bytes;
  };
  using FreshDone = absl::AnyInvocable<void(absl::StatusOr<Fresh>) &&>;
  void FetchFresh(const v1::Chunk& chunk, uint64_t offset_in_chunk, uint32_t length,
                  Duration deadline, FreshDone done);

 private:
  class Range;
  struct Attempt;

  void Try(std::shared_ptr<Attempt> attempt);
  void OnReply(std::shared_ptr<Attempt> attempt, absl::StatusOr<ReadReply> reply);
  std::vector<v1::ServerAddress> Order(const Piece& piece);
  void NoteBad(ChunkHandle handle, ServerId server, Reason reason);

  ChunkClient& chunks_;
  const Clock& clock_;
  const Report report_;

  absl::Mutex mutex_;
  // Tried last until then: a silent server (no handle), a bad replica.
  std::map<std::pair<ServerId, ChunkHandle>, Duration> shunned_until_ ABSL_GUARDED_BY(mutex_);
  std::map<std::tuple<ChunkHandle, ServerId, Reason>, Duration> reported_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
