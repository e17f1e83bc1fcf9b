#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "client/chunk_client.h"
#include "client/chunk_list.h"
#include "client/replica_order.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"

namespace appendfs {

// Reads committed bytes from whichever replica has them right: verifies every
// answer end to end, goes on to the next replica after refusal, short or wrong
// data, asks another one beside it when an answer is slow to come, and reports
// those that are bad. Shared by all files of a client. Thread-safe; callbacks
// run on threads of the links.
class ReplicaReader {
 public:
  using Report = std::function<void(ChunkHandle, ServerId, Reason)>;  // to the master

  // An answer that takes longer is asked of another replica too.
  static constexpr Duration kSlow = std::chrono::milliseconds(50);

  // `timers` must have ended when this is destroyed.
  ReplicaReader(ChunkClient& chunks, const Clock& clock, Executor& timers,
                ReplicaOrder::IsNear is_near, Report report)
      : chunks_(chunks),
        clock_(clock),
        timers_(timers),
        report_(std::move(report)),
        order_(clock, std::move(is_near)) {}

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
  struct PieceRead;

  void AskNext(const std::shared_ptr<PieceRead>& read);
  void OnReply(const std::shared_ptr<PieceRead>& read, size_t asked,
               absl::StatusOr<ReadReply> reply);
  void Watch(const std::shared_ptr<PieceRead>& read, size_t asked);
  void AskSlowOnesElsewhere();
  void NoteBad(ChunkHandle handle, ServerId server, Reason reason);

  ChunkClient& chunks_;
  const Clock& clock_;
  Executor& timers_;
  const Report report_;
  ReplicaOrder order_;

  // A question that was asked, and when its answer is slow.
  struct Watched {
    Duration slow_at{};
    std::weak_ptr<PieceRead> read;
    size_t asked = 0;
  };
  absl::Mutex mutex_;
  std::deque<Watched> watched_ ABSL_GUARDED_BY(mutex_);  // oldest first; a timer runs while any is
  std::map<std::tuple<ChunkHandle, ServerId, Reason>, Duration> reported_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
