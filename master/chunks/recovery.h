#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "proto/types.pb.h"

namespace appendfs {

// What a fenced replica answered.
struct FenceAnswer {
  uint64_t durable_length = 0;  // bytes
  uint32_t crc32c = 0;          // of all of them
  uint64_t mtime_ns = 0;
  bool sealed = false;
  v1::DedupMemory memory;
};

struct RecoveryOptions {
  Duration grace = std::chrono::milliseconds(150);  // for the last answer, once enough are there
  Duration retry = std::chrono::milliseconds(200);  // of a command that failed
  Duration copying = std::chrono::seconds(3);       // if copies fail for so long, ask everyone anew
};

// The recovery of one chunk (DESIGN §4): fence, agree, copy until a write
// quorum holds the agreed bytes, seal.
//
// A plain state machine: no threads, no I/O, no clock. Feed it inputs, and
// after each one carry out what TakeActions returns, in order. Answers may
// come late, twice, in any order, or never; those of an older epoch change
// nothing.
//
// Promises: a seal's length is at least that of every byte acknowledged in an
// older epoch, as long as at most N-W members are lost; it is proposed only
// when W live servers hold it (or it is 0); damaged and unknown replicas never
// count; within one epoch the agreed length never changes.
class ChunkRecovery {
 public:
  // Log BeginRecoveryOp, then OnBeginLogged.
  struct LogBegin {
    Epoch epoch;
  };
  // Then OnFenceAnswer.
  struct SendFence {
    ServerId server;
    Epoch epoch;
  };
  // Make `server` hold what the sources hold, unsealed; then OnConformAnswer.
  struct SendConform {
    ServerId server;
    Epoch epoch;
    uint64_t length = 0;
    uint32_t crc32c = 0;
    uint64_t mtime_ns = 0;
    v1::DedupMemory memory;
    std::vector<ServerId> sources;
  };
  // Another server is needed to hold a copy; then OnTarget.
  struct PickTarget {
    std::vector<ServerId> exclude;
    uint64_t bytes = 0;
  };
  // Log SealChunkOp, then OnSealLogged.
  struct LogSeal {
    Epoch epoch;
    uint64_t length = 0;
    uint32_t crc32c = 0;
    uint64_t mtime_ns = 0;
    v1::DedupMemory memory;
  };
  // The end. `holders` hold exactly the sealed bytes, though nobody has told
  // them that they are sealed; `strays` may hold something else.
  struct Sealed {
    std::vector<ServerId> holders, strays;
  };
  // The end: the log refused, because the chunk is no more or not as thought.
  struct Abandoned {
    absl::Status why;
  };
  using Action =
      std::variant<LogBegin, SendFence, SendConform, PickTarget, LogSeal, Sealed, Abandoned>;

  struct MemberInit {
    ServerId server;
    bool up = false;
  };
  // `epoch` is the newest logged one.
  ChunkRecovery(const std::vector<MemberInit>& members, ServerId primary, Epoch epoch,
                const RecoveryOptions& options);

  void Start(Duration now);
  void OnBeginLogged(const absl::Status& status, Duration now);
  void OnFenceAnswer(ServerId server, Epoch epoch, absl::StatusOr<FenceAnswer> answer,
                     Duration now);
  void OnConformAnswer(ServerId server, Epoch epoch, const absl::Status& status, Duration now);
  void OnTarget(ServerId server, Duration now);  // none: there is none now
  void OnSealLogged(const absl::Status& status, Duration now);
  // Registered, or heard of again / given up.
  void OnServerUp(ServerId server, Duration now);
  void OnServerDown(ServerId server, Duration now);
  void OnTick(Duration now);

  std::vector<Action> TakeActions();

  bool ended() const { return state_ == State::kEnded; }
  Epoch epoch() const { return epoch_; }
  // What it waits for, for operators and for QUORUM_LOST.
  std::string Describe() const;

 private:
  enum class State {
    kWaiting,    // too few members are up to begin
    kBeginning,  // BeginRecoveryOp under way
    kFencing,
    kCopying,  // length agreed, fewer than W live servers hold it
    kSealing,  // SealChunkOp under way
    kEnded,
  };
  enum class Fence { kNone, kAsked, kFailed, kUnusable, kAnswered };

  struct Replica {
    ServerId server;
    bool member = true;  // else: picked to hold a copy
    bool up = false;
    Fence fence = Fence::kNone;
    Duration fence_retry{};
    std::optional<FenceAnswer> answer;
    bool holds = false;    // exactly the agreed bytes, under epoch_
    bool copying = false;  // Conform under way
    Duration copy_retry{};
  };

  Replica* Find(ServerId server);
  size_t NeededAnswers() const;
  size_t Members() const;
  size_t UpMembers() const;
  size_t LiveHolders() const;
  void Begin();
  void SendFences(Duration now);
  // Picks the agreed length; false: not yet, or not possible.
  bool Agree(Duration now);
  void MarkHolder(Replica& replica);
  void Step(Duration now);
  void StepCopying(Duration now);
  void Copy(Replica& replica);
  void ProposeSeal();

  const RecoveryOptions options_;
  const ServerId primary_;
  State state_ = State::kWaiting;
  Epoch epoch_;
  std::vector<Replica> replicas_;
  std::optional<Duration> enough_since_;  // enough answers
  FenceAnswer agreed_;
  Duration copying_since_{};
  bool copies_fail_ = false;
  bool target_asked_ = false;
  Duration target_retry_{};
  std::vector<Action> actions_;
};

}  // namespace appendfs
