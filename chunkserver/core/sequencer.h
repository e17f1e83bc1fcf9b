#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "chunkserver/core/dedup_memory.h"
#include "chunkserver/core/freshness.h"
#include "chunkserver/core/messages.h"
#include "common/clock.h"

namespace appendfs {

// The primary of one chunk in one epoch: puts clients' batches in order, sends
// them to all members, its own replica included, and answers when a quorum is
// durable (DESIGN: append, two-phase commit). It ends for good when it is
// stopped: by a fence here, or by a member that has promised a newer epoch.
//
// A plain state machine: everything comes in by calls, time as an argument;
// everything goes out through Output. Not thread-safe; Output must not call back.
class Sequencer {
 public:
  class Output {
   public:
    virtual ~Output() = default;
    // kSoon: may wait a little for others, to share a message and a sync.
    enum class When { kNow, kSoon };
    virtual void SendReady(ServerId to, const Ready& ready, When when) = 0;
    virtual void SendCommit(ServerId to, const Commit& commit) = 0;
    virtual void SendConfirm(ServerId to, const Confirm& confirm) = 0;
    // Ends a batch; each accepted or refused batch is answered once, or released.
    virtual void AnswerClient(StreamId to, const ClientOutcome& outcome) = 0;
    // The batch is asked about by another stream now; no answer comes here.
    virtual void Release(StreamId stream, uint64_t bytes) = 0;
    virtual void AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) = 0;
    virtual void Report(const ChunkEvent& event) = 0;
  };

  struct Options {
    Duration idle_after = std::chrono::seconds(60);  // without an append: the chunk can be parked
    Duration lag_timeout = std::chrono::seconds(1);  // no vote while another member voted
    Duration confirm_timeout = std::chrono::seconds(1);
    Duration report_interval = std::chrono::seconds(1);  // degraded or full: said again
    uint64_t max_lag_bytes = 32ull << 20;                // a member this far behind the commit lags
    uint64_t gather_bytes = 64ull << 10;  // from here on a batch is worth its own sync
  };

  struct Setup {
    ChunkHandle handle;
    Epoch epoch;
    FileOffset base_offset;
    uint64_t capacity = 0;
    ServerId self;
    std::vector<ServerId> members;  // self included; all stand at `length`
    uint64_t length = 0;            // committed so far
    uint64_t mtime_ns = 0;          // of the last append; of the file so far if there was none
    DedupMemory memory;
  };

  Sequencer(Setup setup, const Options& options, Output& output);
  Sequencer(const Sequencer&) = delete;

  void Append(const ClientBatch& batch, uint64_t wall_ns, Duration now);
  void OnVote(ServerId from, const Vote& vote, Duration now);
  void OnConfirm(ServerId from, const ConfirmAnswer& answer);
  // The way to this member broke: what was sent may be lost.
  void OnPeerBroken(ServerId member);

  // Asks for a committed length that was true after now. `readable_here`: and
  // durable in the own replica, so that it can be read here.
  void AskFresh(uint64_t token, bool readable_here, Duration now);

  void Tick(Duration now);
  // To be called now and then, whatever needs_tick says.
  void ReportIfIdle(Duration now);

  // Takes and commits nothing more. Batches not yet committed are answered
  // with `why`, which must leave their outcome open.
  void Stop(const absl::Status& why);

  bool stopped() const { return !stop_reason_.ok(); }
  bool degraded() const;  // a member lags
  uint64_t committed_length() const { return committed_; }
  Epoch epoch() const { return epoch_; }
  // Whether time matters to it now.
  bool needs_tick() const { return !pending_.empty() || !fresh_.empty() || full_ || degraded(); }

 private:
  struct Member {
    ServerId id;
    uint64_t durable = 0;
    bool lagging = false;
    bool behind = false;  // another member has voted for more
    Duration behind_since{};
  };
  struct Pending {
    ClientId client;
    Sequence sequence;
    uint64_t offset = 0;
    uint32_t length = 0;
    uint64_t mtime_ns = 0;
    StreamId stream;
    uint64_t charge = 0;  // bytes of the stream's share
  };
  absl::Status Accept(const ClientBatch& batch);
  void Refuse(const ClientBatch& batch, absl::Status why);
  void AnswerKnown(const ClientBatch& batch, const DedupMemory::Outcome& outcome);
  void Order(const ClientBatch& batch, uint64_t wall_ns);
  absl::Status Full(const ClientBatch& batch);

  Member* Find(ServerId id);
  void MarkLagging(Member& member);
  void AdvanceCommit();
  void NoteWhoIsBehind(Duration now);
  void ChooseSpare();
  uint64_t OwnDurable() const { return members_.front().durable; }

  void SendRound(uint64_t round);
  void AnswerQuestions();
  void FailQuestions(const std::vector<Freshness::Question>& questions, const absl::Status& why);
  FileOffset InFile(uint64_t offset) const { return base_offset_ + offset; }

  const ChunkHandle handle_;
  const Epoch epoch_;
  const FileOffset base_offset_;
  const uint64_t capacity_;
  const ServerId self_;
  const Options options_;
  Output& output_;

  std::vector<Member> members_;  // the own replica first
  // With three members that keep up, the one whose vote is not waited for: the
  // slower one. Its batches may gather. None: every vote is needed.
  ServerId spare_;
  DedupMemory memory_;  // of everything accepted
  uint64_t accepted_;   // bytes in order so far
  uint64_t committed_;
  uint64_t accepted_mtime_ns_;
  uint64_t committed_mtime_ns_;  // of the last committed append; 0: there was none
  std::deque<Pending> pending_;  // accepted, not committed; rising offsets
  bool full_ = false;
  absl::Status stop_reason_;
  Duration last_report_{};
  Duration last_append_{};  // or idleness last reported

  Freshness fresh_;
};

}  // namespace appendfs
