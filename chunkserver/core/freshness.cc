#include "chunkserver/core/freshness.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/planted.h"

namespace appendfs {

uint64_t Freshness::Begin() {
  running_ = true;
  return ++round_;
}

uint64_t Freshness::Ask(uint64_t token, bool readable_here, uint64_t accepted, Duration now) {
  questions_.push_back({token, readable_here, now, round_ + 1, accepted});
  return running_ ? 0 : Begin();
}

uint64_t Freshness::OnRound(uint64_t round, uint64_t committed) {
  if (!running_ || round != round_) return 0;
  running_ = false;
  bool another = false;
  for (Question& question : questions_) {
    if (question.confirmed) continue;
    if (question.round <= round || PLANTED(kOldConfirm)) {
      question.confirmed = true;
      question.length = committed;
    } else {
      another = true;
    }
  }
  return another ? Begin() : 0;
}

void Freshness::OnVote(uint64_t durable, uint64_t committed) {
  for (Question& question : questions_) {
    if (question.confirmed) continue;
    if (durable <= question.accepted && !PLANTED(kOldVote)) continue;
    question.confirmed = true;
    question.length = committed;
  }
}

std::vector<Freshness::Question> Freshness::TakeAnswerable(uint64_t own_durable) {
  auto ready = std::stable_partition(
      questions_.begin(), questions_.end(), [own_durable](const Question& question) {
        return !question.confirmed || (question.readable_here && own_durable < question.length);
      });
  std::vector<Question> taken(std::make_move_iterator(ready),
                              std::make_move_iterator(questions_.end()));
  questions_.erase(ready, questions_.end());
  return taken;
}

std::vector<Freshness::Question> Freshness::TakeAll() {
  running_ = false;
  return std::exchange(questions_, {});
}

std::vector<Freshness::Question> Freshness::TakeTimedOut(Duration now, Duration patience) {
  std::vector<Question> taken;
  std::erase_if(questions_, [&](const Question& question) {
    if (now - question.asked <= patience) return false;
    if (!question.confirmed && question.round <= round_) running_ = false;
    taken.push_back(question);
    return true;
  });
  return taken;
}

}  // namespace appendfs
