#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/chunks/chunk_table.h"
#include "master/chunks/server_table.h"

namespace appendfs {

// One command that brings a sealed chunk nearer to three good replicas.
struct RepairTask {
  enum class Kind {
    kConform,  // make a replica that is there right, and seal it
    kCopy,     // build one where none is, or where it is of no use
    kDelete,   // there are enough others
    kSeal,     // a parked chunk that has lost a replica: only sealed ones are copied
  };
  Kind kind = Kind::kConform;
  ChunkHandle handle;
  ServerId server;
  std::vector<ServerId> sources;  // live servers that hold the chunk's bytes
};

struct RepairOptions {
  Duration grace = std::chrono::seconds(5);  // a server that returns in time costs no copy
  Duration retry = std::chrono::seconds(1);
  size_t copies_at_once = 4;
  size_t conforms_at_once = 512;
};

// Decides what is done so that every sealed or parked chunk has three good
// replicas on live servers, and no other. Looks only at chunks it was pointed at. A plain
// state machine over the two tables, which it does not own; the caller carries
// out the tasks and reports each one's end. Not thread-safe.
class RepairPlanner {
 public:
  RepairPlanner(ChunkTable& chunks, ServerTable& servers, const RepairOptions& options)
      : chunks_(chunks), servers_(servers), options_(options) {}

  // Something about the chunk has changed.
  void Look(ChunkHandle handle, Duration now);
  // Every chunk with a replica on this server.
  void LookAtServer(ServerId server, Duration now);
  // In safe mode nothing is copied or deleted.
  std::vector<RepairTask> Plan(Duration now, bool safe_mode);
  void OnDone(const RepairTask& task, const absl::Status& status, Duration now);

  // Whether a report of this replica may be older than the deletion that was
  // ordered: it is then no proof that the replica is there.
  bool MayBeDeleted(ChunkHandle handle, ServerId server) const {
    return deleting_.contains({handle, server});
  }
  // All that the server held when it registered has been reported.
  void OnReported(ServerId server);

  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Duration since{};  // something was found missing
    Duration next{};   // when to look again
  };
  using Due = std::multimap<Duration, ChunkHandle>;

  // Adds what is to be done now; when to look again, or never.
  std::optional<Duration> Decide(ChunkHandle handle, const SealedChunk& chunk, Duration since,
                                 Duration now, bool safe_mode, std::vector<RepairTask>& tasks);
  // Only the log can help a parked chunk; replicas are repaired once it is sealed.
  std::optional<Duration> DecideParked(ChunkHandle handle, const SealedChunk& chunk, Duration since,
                                       Duration now, bool safe_mode,
                                       std::vector<RepairTask>& tasks);
  // One more copy, on a server that has none, if there is one to be had.
  bool CopyMissing(ChunkHandle handle, const SealedChunk& chunk, size_t live,
                   std::vector<ServerId> taken, const std::vector<ServerId>& sources, Duration now,
                   std::vector<RepairTask>& tasks);
  // When a chunk that nothing can be done for now is looked at again.
  Duration NextLook(Duration since, Duration now) const;
  bool Launch(RepairTask task, std::vector<RepairTask>& tasks);
  void Schedule(ChunkHandle handle, Duration when, Duration now);

  ChunkTable& chunks_;
  ServerTable& servers_;
  const RepairOptions options_;
  absl::flat_hash_map<ChunkHandle, Waiting> waiting_;
  Due due_;  // may hold outdated entries; waiting_ tells
  absl::flat_hash_set<std::pair<ChunkHandle, ServerId>> running_;
  size_t copies_ = 0, conforms_ = 0;  // running
  // Ordered, and running or overtaken by a report that is not complete.
  absl::flat_hash_set<std::pair<ChunkHandle, ServerId>> deleting_;
};

}  // namespace appendfs
