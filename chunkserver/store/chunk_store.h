#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/ids.h"
#include "common/status.h"
#include "proto/types.pb.h"

namespace appendfs {

// Who a replica is; fixed when it is created, but for the epoch.
struct ReplicaIdentity {
  ChunkHandle handle;
  InodeId inode;
  uint64_t base_offset = 0;  // file offset of the chunk's first byte
  uint64_t capacity = 0;     // bytes
};

// What is durable of one replica, and what of it is known to be committed.
struct ReplicaState {
  ReplicaIdentity identity;
  Epoch epoch;                    // newest promised
  uint64_t durable_length = 0;    // bytes
  uint64_t committed_length = 0;  // bytes known here to be on a quorum; <= durable_length
  bool sealed = false;
  bool damaged = false;  // reason in `damage`; every other field but the handle is then void
  std::string damage;
  uint64_t mtime_ns = 0;   // of the last durable batch
  v1::DedupMemory memory;  // of exactly the durable bytes
};

// The changes a store makes durable. Each is one journal record, so it is
// whole or absent after a crash.
struct CreateReplica {
  ReplicaIdentity identity;
  Epoch epoch;
  uint64_t mtime_ns = 0;
  v1::DedupMemory memory;
};
// Appends at the replica's durable (or already submitted) end; data and dedup
// entry in one. client 0: bytes without a dedup entry (catch-up).
struct AppendBatch {
  ChunkHandle handle;
  Epoch epoch;          // must equal the replica's promised epoch
  uint64_t offset = 0;  // within the chunk
  Buffer payload;
  uint32_t crc32c = 0;  // of the payload; verified by the caller, stored, checked at replay
  ClientId client;
  Sequence sequence;
  uint64_t mtime_ns = 0;
};
struct FenceReplica {
  ChunkHandle handle;
  Epoch epoch;  // the new promise; not lower than the present one
};
// Cuts the replica to `length` (<= its durable length), replaces memory and
// mtime, promises `epoch`, and seals it if asked to.
struct ConformReplica {
  ChunkHandle handle;
  Epoch epoch;
  uint64_t length = 0;
  bool seal = false;
  uint64_t mtime_ns = 0;
  v1::DedupMemory memory;
};
// The handle is remembered as deleted: a later CreateReplica is refused.
struct DeleteReplica {
  ChunkHandle handle;
};
using StoreChange =
    std::variant<CreateReplica, AppendBatch, FenceReplica, ConformReplica, DeleteReplica>;

// The outcome of one submitted change.
struct StoreCompletion {
  uint64_t token = 0;  // as given to Submit
  ChunkHandle handle;
  absl::Status status;          // OK: durable now
  uint64_t durable_length = 0;  // of the replica after the change, in bytes
};

// Told of durability by the store's journal thread, which holds no lock: one
// call per group commit, completions in the order of submission.
class StoreListener {
 public:
  virtual ~StoreListener() = default;
  virtual void OnDurable(std::span<const StoreCompletion> completions) = 0;
  // The data directory failed (a sync, a write or a read returned an error, or
  // it vanished): nothing more becomes durable here; every later completion is
  // an error. Of a store of several directories: the last of them failed.
  virtual void OnStoreFailed(const absl::Status& why) = 0;
  // The directory these replicas are in failed; they are unknown from now on.
  // Changes of them that were submitted complete with an error. Comes from a
  // store of several directories only, before OnStoreFailed.
  virtual void OnReplicasLost(std::span<const ChunkHandle> handles, const absl::Status& why) = 0;
  // A replica was found damaged while reading or applying.
  virtual void OnReplicaDamaged(ChunkHandle handle, const std::string& why) = 0;
};

// Hears how the store does, for those who watch over it. Called by the thread
// that commits, once per group: it must be quick.
class StoreObserver {
 public:
  struct Group {
    size_t changes = 0;  // that became durable together
    uint64_t bytes = 0;  // payload of the appends among them
    Duration took{};     // from the first write to the end of the sync
  };
  virtual ~StoreObserver() = default;
  virtual void OnGroup(const Group& group) = 0;
};

struct StoreOptions {
  uint64_t segment_bytes = 16ull << 20;        // one journal segment
  uint64_t max_journal_bytes = 128ull << 20;   // checkpoint before it grows past this: small enough
                                               // to stay in the page cache
  uint64_t max_group_bytes = 4ull << 20;       // payload per group commit
  uint64_t reserved_bytes = 256ull << 20;      // kept free for recovery, sealing and deletion
  uint64_t max_unapplied_bytes = 64ull << 20;  // in memory; beyond it appends wait their turn
  uint64_t in_place_bytes = 512ull << 10;      // an append as large goes past the journal if it can
  StoreObserver* observer = nullptr;           // lives as long as the store
};

// The identity of a data directory, checked at open.
struct StoreIdentity {
  std::string cluster_uuid;  // empty: not yet known (a new directory)
  ServerId server;           // none: not yet known
};

// One data directory of a store, for operators.
struct DiskState {
  std::string directory;
  uint64_t id = 0;           // drawn when the directory was made; 0: it could not be read
  uint64_t total_bytes = 0;  // of the file system below
  uint64_t available_bytes = 0;
  uint64_t chunks = 0;
  std::string failure;  // empty: in use
};

struct ReadResult {
  Buffer payload;
  uint32_t crc32c = 0;            // of the payload
  uint64_t committed_length = 0;  // bytes
  uint64_t durable_length = 0;    // bytes
};

// All replicas of a server: chunk files, sidecars and the journal in front of
// them, in one data directory (ThreadedChunkStore) or several (DiskSet).
// layout.h draws a directory and its formats.
//
// Thread-safe. Changes are asynchronous and group-committed: whatever was
// submitted while a sync ran shares the next one. No call but Read and Fetch,
// and those of Import, does disk I/O on the caller's thread.
class ChunkStore {
 public:
  // Locks the directory, checks its identity and format, replays the journal.
  // Errors: WRONG_CLUSTER, WRONG_SERVER, VERSION_MISMATCH, INPUT_OUTPUT. A
  // damaged replica is no error: it is reported as damaged.
  static absl::StatusOr<std::unique_ptr<ChunkStore>> Open(FileSystem& fs, const Clock& clock,
                                                          std::string directory,
                                                          const StoreOptions& options);
  virtual ~ChunkStore() = default;  // stops the threads; submitted changes are completed first

  // Identity: as found in the directory; set once after the first registration.
  virtual StoreIdentity identity() const = 0;
  virtual absl::Status SetIdentity(const StoreIdentity& identity) = 0;

  // Starts the threads. Before it nothing is completed. `listener` outlives the store's threads.
  virtual void Start(StoreListener& listener) = 0;

  // Queues a change. Changes of one handle take effect in the order of their
  // submission; so do their completions. Refused changes (unknown or deleted
  // handle, older epoch, sealed, wrong offset) complete with an error and
  // change nothing.
  virtual void Submit(StoreChange change, uint64_t token) = 0;

  // Everything below `length` is committed: it may be read, and moves to the
  // chunk file in the background. Ignored if lower than what is known.
  virtual void SetCommitted(ChunkHandle handle, uint64_t length) = 0;

  // Committed bytes from `offset`, at most `length`; fewer only at the
  // committed end. Block checksums verified. Errors: UNKNOWN_CHUNK,
  // REPLICA_DAMAGED, CHECKSUM_MISMATCH (the replica is then damaged).
  virtual absl::StatusOr<ReadResult> Read(ChunkHandle handle, uint64_t offset, uint32_t length) = 0;
  // The same for durable bytes, committed or not.
  virtual absl::StatusOr<ReadResult> Fetch(ChunkHandle handle, uint64_t offset,
                                           uint32_t length) = 0;

  virtual absl::StatusOr<ReplicaState> State(ChunkHandle handle) const = 0;
  // States of up to `limit` replicas with handles above `after`, rising;
  // without their memories.
  virtual std::vector<ReplicaState> List(ChunkHandle after, size_t limit) const = 0;
  // CRC32C of the replica's first `length` bytes (<= durable). Blocking.
  virtual absl::StatusOr<uint32_t> PrefixCrc32c(ChunkHandle handle, uint64_t length) = 0;

  // Builds a replica from bytes that come from elsewhere, past the journal;
  // replaces a damaged one. Nothing is visible before Finish returned OK.
  class Import {
   public:
    virtual ~Import() = default;  // without Finish: leaves no trace
    virtual absl::Status Write(std::string_view bytes) = 0;
    // Verifies length and checksum, makes all durable. Blocking.
    virtual absl::Status Finish(uint64_t length, uint32_t crc32c, uint64_t mtime_ns,
                                const v1::DedupMemory& memory) = 0;  // sealed
  };
  virtual absl::StatusOr<std::unique_ptr<Import>> BeginImport(const ReplicaIdentity& identity,
                                                              Epoch epoch) = 0;

  struct Usage {
    uint64_t total_bytes = 0;      // of the file system below
    uint64_t available_bytes = 0;  // less the reserved room
    uint64_t chunks = 0;
    uint64_t highest_handle = 0;   // ever held
    uint64_t unapplied_bytes = 0;  // in memory: durable, not yet in chunk files
  };
  virtual Usage usage() const = 0;
  // Every directory it was opened with, in their order.
  virtual std::vector<DiskState> disks() const { return {}; }
};

}  // namespace appendfs
