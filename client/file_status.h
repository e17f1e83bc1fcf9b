#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "client/appendfs.h"
#include "client/chunk_client.h"
#include "client/queue_budget.h"
#include "common/clock.h"
#include "common/ids.h"
#include "proto/master.pb.h"

namespace appendfs {

// What the master knows of an inode and what its tail's primary knows, as one.
// The later modification time holds, but for one that was set explicitly after
// the tail's last append.
FileStatus ToFileStatus(const v1::Entry& entry, const std::optional<TailLength>& tail);

// Completes the master's entries with fresh tail lengths. Thread-safe; calls
// block until their deadline (Clock::Monotonic) at the latest.
class StatusResolver {
 public:
  using GetEntry = std::function<absl::StatusOr<v1::Entry>(InodeId, Duration deadline)>;
  // What this client has seen of a file it has open; null for others.
  using FindKnown = std::function<std::shared_ptr<KnownSize>(InodeId)>;
  // The entry, if it may be believed as it was last heard of.
  using FindKept = std::function<std::optional<v1::Entry>(InodeId)>;

  StatusResolver(ChunkClient& chunks, const Clock& clock, GetEntry get, FindKnown known,
                 FindKept kept)
      : chunks_(chunks),
        clock_(clock),
        get_(std::move(get)),
        known_(std::move(known)),
        kept_(std::move(kept)) {}

  // Asks the master, unless it is kept; `likely_tail` is asked at the same time,
  // to save a round trip if it is still the tail.
  absl::StatusOr<FileStatus> Get(InodeId inode, const std::optional<v1::Chunk>& likely_tail,
                                 Duration deadline);
  // Asks nobody: the size is the largest this client has seen.
  FileStatus AsKnown(const v1::Entry& entry) const;
  absl::StatusOr<FileStatus> Complete(const v1::Entry& entry, Duration deadline);
  // All of them, with one question per primary; in their order.
  std::vector<absl::StatusOr<FileStatus>> CompleteAll(const std::vector<v1::Entry>& entries,
                                                      Duration deadline);

 private:
  struct Question;

  std::shared_ptr<Question> Ask(const v1::Chunk& tail, Duration deadline);
  absl::StatusOr<FileStatus> Finish(v1::Entry entry, std::shared_ptr<Question> question,
                                    Duration deadline);
  FileStatus Merge(const v1::Entry& entry, const std::optional<TailLength>& tail) const;

  ChunkClient& chunks_;
  const Clock& clock_;
  const GetEntry get_;
  const FindKnown known_;
  const FindKept kept_;
};

}  // namespace appendfs
