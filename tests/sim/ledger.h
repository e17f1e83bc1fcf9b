#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "chunkserver/core/messages.h"
#include "chunkserver/store/chunk_store.h"
#include "proto/meta_log.pb.h"
#include "tests/sim/world.h"

namespace appendfs::sim {

// What every server has claimed of every chunk, and what is committed by that:
// DESIGN §10 at the level of chunks, looked at after every event for what the
// event touched. It believes nothing but completions of stores, messages of
// primaries and operations in the master's log. A violation fails the kernel.
class Ledger {
 public:
  explicit Ledger(World& world) : world_(world) {}

  // --- told by the machines ----------------------------------------------------
  // The store of `server` has something new to say about it.
  void Touched(ServerNode& server, ChunkHandle handle) { touched_.emplace(&server, handle); }
  // Its store is open, after whatever happened to it.
  void Started(ServerNode& server);
  void Stopped(ServerNode& server) {
    std::erase_if(touched_, [&](const auto& what) { return what.first == &server; });
  }
  void Deleting(ServerNode& server, ChunkHandle handle);
  void Deleted(ServerNode& server, ChunkHandle handle);
  // It has answered a fence.
  void Promised(ServerNode& server, ChunkHandle handle, Epoch epoch, uint64_t length);
  // A primary says so, to others or to a client.
  void Commits(ServerNode& server, const Commit& commit);
  void Answers(ServerNode& server, ClientId client, const ClientOutcome& outcome);
  // Durable in the master's log.
  void Logged(const v1::MetaOp& op);

  // After an event.
  void Check();

  // How much of a chunk is known to be committed, and where it is in its file.
  struct Committed {
    ChunkHandle handle;
    uint64_t base_offset = 0;
    std::string_view bytes;
  };
  // Of the file's chunks, as far as the master's log goes.
  uint64_t Recoveries(InodeId inode) const;
  InodeId InodeOf(ChunkHandle handle) const;
  // The chunk that has this byte, if one has committed it.
  std::optional<Committed> Find(InodeId inode, uint64_t offset) const;
  // The end of the bytes at `offset` that were sealed, or committed, while no holder
  // was up to show them (two may vote and die before the primary has synced its own):
  // what they are is not known here yet. None: that byte is not such.
  std::optional<uint64_t> UnknownUntil(InodeId inode, uint64_t offset) const;

 private:
  // The newest claim of one server, which stands while the server is down.
  struct Replica {
    bool present = false, damaged = false, sealed = false;
    bool deleting = false, deleted = false;  // by order
    uint64_t deleting_boot = 0;              // in which it was ordered
    Epoch epoch;
    uint64_t durable = 0;
    uint64_t compared = 0;  // bytes found equal to what is committed
    uint64_t boot = 0;
    // The chunk went on from so many bytes in an epoch that it had not heard of: what
    // it has beyond them, such as the copy of a recovery given up, counts for nothing.
    std::optional<uint64_t> left_behind;
    bool LeftBehindAt(uint64_t length) const { return left_behind && length > *left_behind; }
  };
  struct Chunk {
    InodeId inode;
    uint64_t base_offset = 0;
    std::string committed;
    uint64_t claimed = 0;  // durable on enough servers, and committed by a primary
    uint64_t parsed = 0;   // bytes handed to the history
    Epoch epoch;           // in the master's log
    std::optional<uint64_t> sealed;
    Epoch goes_on_in;  // older ones commit nothing past `goes_on_from`
    uint64_t goes_on_from = 0;
    std::map<ServerNode*, Replica> replicas;
    std::map<Epoch, std::pair<ServerNode*, uint64_t>> committer;  // and its boot
  };

  void CheckReplica(ServerNode& server, ChunkHandle handle);
  void Believe(ServerNode& server, ChunkHandle handle, const ReplicaState& state);
  // Nothing that a disk held is gone without being told.
  void CheckRestarted(ServerNode& server, ChunkHandle handle, const Replica& before,
                      const ReplicaState* now);
  void Extend(ChunkHandle handle, uint64_t length, ServerNode& from, const char* why);
  // Servers that hold so many bytes, by what they said last; those whose disks
  // were harmed may have lost theirs since.
  int Holders(const Chunk& chunk, uint64_t length) const;
  std::string Tell(const Chunk& chunk) const;
  void Sealed(const v1::SealChunkOp& op);
  // Reopened or parked: the chunk goes on, under this epoch, from this length.
  void GoesOn(ChunkHandle handle, Epoch epoch, uint64_t length, bool reopened);
  template <class... Args>
  void Fail(ChunkHandle handle, const Args&... args) {
    world_.kernel.Fail(StrCat("chunk=", handle, " ", args..., Tell(chunks_[handle])));
  }

  World& world_;
  std::map<ChunkHandle, Chunk> chunks_;
  std::map<InodeId, std::map<uint64_t, ChunkHandle>> files_;  // by base offset
  std::map<ChunkHandle, InodeId> owners_;
  std::map<InodeId, uint64_t> recoveries_;
  std::set<std::pair<ServerNode*, ChunkHandle>> touched_;
  std::map<std::tuple<InodeId, ClientId, Sequence>, FileOffset> answers_;
};

}  // namespace appendfs::sim
