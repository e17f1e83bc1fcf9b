#pragma once

#include <cstdint>
#include <vector>

#include "common/clock.h"

namespace appendfs {

// Which questions for a fresh committed length a primary may answer: those
// asked before another member last confirmed its epoch, be it by a round begun
// after the question and shared by all who wait, or by a vote for bytes that
// were put in order after the question. Part of the sequencer; not thread-safe.
class Freshness {
 public:
  struct Question {
    uint64_t token = 0;
    bool readable_here = false;
    Duration asked{};
    uint64_t round = 0;     // confirmed by this round
    uint64_t accepted = 0;  // ... or by a vote for more than this
    bool confirmed = false;
    uint64_t length = 0;  // committed when it was confirmed
  };

  // Rounds begin above `before`: a late answer to another sequencer of the
  // chunk must not look like one to this.
  explicit Freshness(uint64_t before) : round_(before) {}

  // The round to begin now, or 0: one is under way, the question waits for the next.
  uint64_t Ask(uint64_t token, bool readable_here, uint64_t accepted, Duration now);
  // Another member confirmed this round. The round to begin next, or 0.
  uint64_t OnRound(uint64_t round, uint64_t committed);
  // Another member voted for `durable` bytes.
  void OnVote(uint64_t durable, uint64_t committed);

  // Takes what may be answered: confirmed, and durable in the own replica if
  // that was asked for.
  std::vector<Question> TakeAnswerable(uint64_t own_durable);
  std::vector<Question> TakeAll();
  // Takes what was asked longer ago than `patience`.
  std::vector<Question> TakeTimedOut(Duration now, Duration patience);

  bool empty() const { return questions_.empty(); }

 private:
  uint64_t Begin();

  std::vector<Question> questions_;
  uint64_t round_;  // last one begun
  bool running_ = false;
};

}  // namespace appendfs
