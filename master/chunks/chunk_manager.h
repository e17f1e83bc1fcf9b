#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/meta_log.h"
#include "proto/master.pb.h"

namespace appendfs {

class SessionTable;
class ServerClient;

struct ChunkManagerOptions {
  uint64_t chunk_bytes = kDefaultChunkBytes;
  Duration heartbeat_interval = std::chrono::milliseconds(250);
  Duration dead_after = std::chrono::milliseconds(2000);  // without a heartbeat
  Duration safe_mode = std::chrono::seconds(3);           // after a start: no repair, no deletion
};

// Everything about chunks that the namespace does not decide: which servers
// there are and where replicas stand, making a file's next chunk, recovering,
// repairing and deleting chunks. Owns no durable state: that goes through the
// MetaLog. Thread-safe; callbacks run on threads of the manager or of the log
// and must not block.
class ChunkManager {
 public:
  // Loads the chunks, garbage and servers that the tables hold. Talks to the
  // servers over gRPC, on a thread of its own. The log must be stopped before
  // the manager is destroyed.
  static absl::StatusOr<std::unique_ptr<ChunkManager>> Create(
      const ChunkManagerOptions& options, MetaLog& log, const SessionTable& sessions,
      const Clock& clock, uint64_t incarnation, std::string cluster_uuid);
  virtual ~ChunkManager() = default;

  // --- for the namespace service -------------------------------------------
  // Fills in the replicas of a chunk read from the tables: members of an open
  // one, known holders of a sealed one, with today's addresses.
  virtual void FillLocations(v1::Chunk& chunk) const = 0;

  using TailDone = absl::AnyInvocable<void(absl::StatusOr<v1::Chunk>) &&>;
  // The chunk to append to. Answers by `deadline` (monotonic): with a chunk
  // newer than the failed one, or QUORUM_LOST (too few servers; names them),
  // NO_ENTRY, NO_SPACE, TIMED_OUT.
  virtual void OpenTail(const v1::OpenTailRequest& request, Duration deadline, TailDone done) = 0;
  virtual void ReportReplica(const v1::ReportReplicaRequest& report) = 0;
  // Handles that no file refers to any more (MetaResult.garbage).
  virtual void AddGarbage(std::vector<ChunkHandle> handles) = 0;

  struct Space {
    uint64_t total_bytes = 0, available_bytes = 0;  // raw, over all live servers
  };
  virtual Space space() const = 0;

  // --- for the server registry ---------------------------------------------
  using RegisterDone = absl::AnyInvocable<void(absl::StatusOr<v1::RegisterResponse>) &&>;
  virtual void Register(const v1::RegisterRequest& request, RegisterDone done) = 0;
  virtual absl::Status ReportChunks(const v1::ReportChunksRequest& request) = 0;
  virtual v1::HeartbeatResponse Heartbeat(const v1::HeartbeatRequest& request) = 0;

  // --- for operators ---------------------------------------------------------
  virtual v1::ListServersResponse ListServers() const = 0;
  virtual void FillStatus(v1::GetStatusResponse& status) const = 0;
  // The chunks with their present locations, and what the replicas' servers say
  // of them: each server is asked once, now. Blocks up to two seconds.
  virtual std::vector<v1::ChunkInfo> InspectChunks(std::span<const v1::Chunk> chunks) = 0;
  using ForceDone = absl::AnyInvocable<void(absl::StatusOr<v1::ForceSealResponse>) &&>;
  // Seals the chunk `request.handle` with what its live members hold, if its
  // recovery waits for the others; only tells what may be lost unless
  // `request.lose_data`. `host` asked, says the log. INVALID: nothing waits.
  virtual void ForceSeal(const v1::ForceSealRequest& request, std::string host, ForceDone done) = 0;
};

}  // namespace appendfs
