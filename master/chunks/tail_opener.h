#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/chunks/chunk_creation.h"
#include "master/chunks/chunk_table.h"
#include "proto/chunkserver.pb.h"
#include "proto/master.pb.h"
#include "proto/meta_log.pb.h"

namespace appendfs {

// Gives files a chunk to append to: waits for the recovery of one that failed,
// makes the next one. One run per inode, however many ask. A plain state
// machine: the host, which owns it, carries out what it asks for and tells it
// the outcome, later and never from inside the call.
class TailOpener {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<v1::Chunk>) &&>;

  class Host {
   public:
    virtual ~Host() = default;
    virtual OpenChunk* OpenChunkOf(InodeId inode) = 0;
    // It does not serve somebody who waits to append; `full`: for good. Under
    // way already, the recovery learns that somebody waits.
    virtual void Recover(OpenChunk& chunk, std::string_view why, bool full) = 0;
    // Then OnInode. If the file's last chunk is parked, its reopening has been
    // started, and OpenChunkOf knows it by then.
    virtual void ReadInode(InodeId inode) = 0;
    virtual absl::StatusOr<ChunkPlacement> Place() = 0;
    // A handle of its own, or none: then OnHandles comes once there are some.
    virtual ChunkHandle TakeHandle() = 0;
    virtual uint64_t chunk_bytes() const = 0;
    // Sends it to each of the placement's members; then OnCreateAnswer.
    virtual void CreateReplicas(const ChunkPlacement& placement,
                                v1::CreateChunksRequest::Item item) = 0;
    // The chunk is not used: delete what was made of it.
    virtual void DiscardReplicas(const ChunkCreation& creation) = 0;
    // Then OnAllocated; if it succeeded, OpenChunkOf knows the chunk by then.
    virtual void Allocate(const ChunkCreation& creation, v1::AllocateChunkOp op) = 0;
    virtual bool SessionIsLive(ClientId client) const = 0;
    virtual void Answer(Done done, absl::StatusOr<v1::Chunk> answer) = 0;
  };

  explicit TailOpener(Host& host) : host_(host) {}

  // `deadline` is monotonic.
  void Open(const v1::OpenTailRequest& request, Duration deadline, Done done, Duration now);

  // The inode's open chunk is gone: sealed, parked, dropped or given up; or it
  // is open again.
  void OnChunkSettled(InodeId inode, Duration now);
  // nullopt: there is no such inode.
  void OnInode(InodeId inode, absl::StatusOr<std::optional<v1::InodeRecord>> record, Duration now);
  void OnHandles(Duration now);
  void OnCreateAnswer(InodeId inode, ChunkHandle handle, ServerId server,
                      const absl::Status& status, Duration now);
  void OnAllocated(InodeId inode, ChunkHandle handle, const absl::Status& status, Duration now);
  void OnTick(Duration now);

  size_t runs() const { return runs_.size(); }

 private:
  struct Waiter {
    ClientId client;
    ChunkHandle failed_handle;
    Epoch failed_epoch;
    v1::Reason failed_reason;
    Duration deadline;
    Done done;
  };
  enum class State {
    kIdle,        // an open chunk is there, or its recovery is waited for
    kReading,     // the inode
    kPlacing,     // handle and servers wanted
    kCreating,    // on the servers
    kAllocating,  // in the log
  };
  struct Run {
    InodeId inode;
    State state = State::kIdle;
    std::vector<Waiter> waiters;
    v1::InodeRecord record;
    std::unique_ptr<ChunkCreation> creation;
    Duration retry{};       // of placing
    absl::Status obstacle;  // why it does not get on
  };

  // All may end the run, and then erase it.
  void Advance(Run& run, Duration now);
  void AnswerOpen(Run& run, OpenChunk& chunk);
  void Place(Run& run, Duration now);
  void Judge(Run& run, Duration now);
  void Fail(Run& run, const absl::Status& status);
  void Expire(Run& run, Duration now);
  Run* Find(InodeId inode);
  void EraseIfOver(InodeId inode);

  Host& host_;
  absl::flat_hash_map<InodeId, std::unique_ptr<Run>> runs_;
};

}  // namespace appendfs
