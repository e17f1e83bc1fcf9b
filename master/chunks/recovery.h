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
  // While somebody waits: for the last answer or copy, once enough are there.
  Duration grace = std::chrono::milliseconds(60);
  // While nobody does: for a member that may come back soon.
  Duration patience = std::chrono::milliseconds(1500);
  Duration retry = std::chrono::milliseconds(200);      // of a command that failed; doubles
  Duration longest_retry = std::chrono::seconds(5);     // of a command
  Duration opening = std::chrono::milliseconds(500);    // for the members to open the chunk
  Duration copying = std::chrono::seconds(3);           // if copies fail for so long, ask everyone
  Duration longest_backoff = std::chrono::seconds(30);  // of recovering once more
  uint64_t quick_copy_bytes = 1ull << 20;               // worth waiting for with somebody waiting
};

// The recovery of one chunk (DESIGN §4): fence, agree, copy until the agreed
// bytes are held, and then one of three ends:
// - reopened under the new epoch, if somebody waits to append, every member
//   has promised it and stands at the agreed length, and there is room;
// - parked, if nobody waits: the same without a primary;
// - sealed otherwise, as soon as a write quorum holds the bytes.
//
// A plain state machine: no threads, no I/O, no clock. Feed it inputs, and
// after each one carry out what TakeActions returns, in order. Answers may
// come late, twice, in any order, or never; those of an older epoch change
// nothing.
//
// Promises: the length agreed on is at least that of every byte acknowledged in
// an older epoch, as long as at most N-W members are lost; it is logged only
// when W live servers hold it (or it is 0); damaged and unknown replicas never
// count; within one epoch it never changes; in one epoch a chunk is opened once
// at most. A forced seal alone (Force) makes do with less.
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
    bool forced = false;
    std::vector<ServerId> answered, missing;  // members, if forced
  };
  // Choose a primary and log ReopenChunkOp, then OnReopenLogged.
  struct LogReopen {
    Epoch epoch;
    uint64_t length = 0;
    uint64_t mtime_ns = 0;
  };
  // Log ParkChunkOp, then OnParkLogged.
  struct LogPark {
    Epoch epoch;
    uint64_t length = 0;
    uint32_t crc32c = 0;
    uint64_t mtime_ns = 0;
    v1::DedupMemory memory;
  };
  // Open it with this primary, or show it at rest; then OnOpenAnswer, unless
  // the recovery has ended.
  struct SendOpen {
    ServerId server;
    Epoch epoch;
    ServerId primary;  // none: parked
    uint64_t length = 0;
    uint64_t mtime_ns = 0;
  };
  // The end. `holders` hold exactly the sealed bytes, though nobody has told
  // them that they are sealed; `strays` may hold something else.
  struct Sealed {
    std::vector<ServerId> holders, strays;
  };
  struct Reopened {};
  struct Parked {};
  // The end: the log refused, because the chunk is no more or not as thought.
  struct Abandoned {
    absl::Status why;
  };
  using Action = std::variant<LogBegin, SendFence, SendConform, PickTarget, LogSeal, LogReopen,
                              LogPark, SendOpen, Sealed, Reopened, Parked, Abandoned>;

  struct MemberInit {
    ServerId server;
    bool up = false;
    bool prompt = true;  // its heartbeats come: worth waiting for while somebody waits
  };
  struct Setup {
    std::vector<MemberInit> members;
    ServerId primary;              // none: parked, or being recovered before
    Epoch epoch;                   // the newest logged one
    uint64_t longest_to_keep = 0;  // a longer chunk is sealed; 0: seal in any case
    bool wanted = false;           // somebody waits to append
  };
  ChunkRecovery(const Setup& setup, const RecoveryOptions& options);

  void Start(Duration now);
  // Somebody waits to append now.
  void Want(Duration now);
  // It must not be kept, because it is full, say.
  void MustSeal(Duration now);
  // An operator gives up what the missing members alone may hold.
  void Force(Duration now);

  void OnBeginLogged(const absl::Status& status, Duration now);
  // Both: true if this is news about the server, false if it is one more
  // failure, or of no use.
  bool OnFenceAnswer(ServerId server, Epoch epoch, absl::StatusOr<FenceAnswer> answer,
                     Duration now);
  bool OnConformAnswer(ServerId server, Epoch epoch, const absl::Status& status, Duration now);
  void OnTarget(ServerId server, Duration now);  // none: there is none now
  void OnSealLogged(const absl::Status& status, Duration now);
  void OnReopenLogged(const absl::Status& status, ServerId primary, Duration now);
  void OnParkLogged(const absl::Status& status, Duration now);
  void OnOpenAnswer(ServerId server, Epoch epoch, const absl::Status& status, Duration now);
  // Registered, or heard of again / given up. `restarted`: what it was told to
  // open is not open there any more.
  void OnServerUp(ServerId server, bool restarted, Duration now);
  void OnServerDown(ServerId server, Duration now);
  void OnTick(Duration now);

  std::vector<Action> TakeActions();

  bool ended() const { return state_ == State::kEnded; }
  // Waits for servers that do not answer: what an operator may cut short.
  bool stuck() const { return state_ == State::kWaiting || state_ == State::kFencing; }
  bool forced() const { return forced_; }
  Epoch epoch() const { return epoch_; }
  // What it waits for, for operators and for QUORUM_LOST.
  std::string Describe() const;

 private:
  enum class State {
    kWaiting,    // too few members are up to begin, or it was in vain lately
    kBeginning,  // BeginRecoveryOp under way
    kFencing,
    kCopying,    // length agreed, not all who shall hold it do
    kSealing,    // SealChunkOp under way
    kReopening,  // ReopenChunkOp under way
    kParking,    // ParkChunkOp under way
    kOpening,    // members are opening it
    kEnded,
  };
  enum class Fence { kNone, kAsked, kFailed, kUnusable, kAnswered };

  struct Replica {
    ServerId server;
    bool member = true;  // else: picked to hold a copy
    bool up = false;
    bool prompt = true;
    Fence fence = Fence::kNone;
    int failures = 0;  // of commands, in a row
    Duration fence_retry{};
    std::optional<FenceAnswer> answer;
    bool holds = false;    // exactly the agreed bytes, under epoch_
    bool copying = false;  // Conform under way
    Duration copy_retry{};
    bool opened = false;
  };

  Replica* Find(ServerId server);
  size_t NeededAnswers() const;
  size_t Members() const;
  size_t UpMembers() const;
  size_t LiveHolders() const;
  size_t CopiesUnderWay() const;
  Duration Retry(Replica& replica, Duration now);
  Duration Grace() const { return wanted_ ? options_.grace : options_.patience; }
  bool Keepable() const;
  // Whether all members may yet answer, or come to hold what was agreed on.
  bool AllMayAnswer() const;
  bool AllMayHold() const;
  bool AllHold() const;
  void TryBegin(Duration now);
  void Begin();
  void StartOver(Duration now);
  void SendFences(Duration now);
  // Picks the agreed length; false: not yet, or not possible.
  bool Agree(Duration now);
  bool AgreeByForce(Duration now);
  std::vector<const Replica*> LongestAnswers() const;
  void MarkHolder(Replica& replica);
  void Step(Duration now);
  void StepCopying(Duration now);
  void CopyToQuorum(Duration now);
  void Copy(Replica& replica);
  void Settle();
  void ProposeSeal();
  void End(const absl::Status& status, Action end);
  void SendOpens(ServerId primary);

  const RecoveryOptions options_;
  const ServerId primary_;
  uint64_t longest_to_keep_;
  bool wanted_;
  bool forced_ = false;
  State state_ = State::kWaiting;
  Epoch epoch_;
  std::vector<Replica> replicas_;
  int restarts_ = 0;       // recoveries that came to nothing
  int vain_openings_ = 0;  // reopened in the log, but not by all members
  Duration waiting_since_{}, begin_at_{};
  Duration fencing_since_{};
  std::optional<Duration> enough_since_;  // enough answers
  FenceAnswer agreed_;
  Duration copying_since_{};
  Duration opening_since_{};
  bool copies_fail_ = false;
  bool target_asked_ = false;
  Duration target_retry_{};
  std::vector<Action> actions_;
};

}  // namespace appendfs
