#include "master/chunks/chunk_creation.h"

#include <algorithm>

namespace appendfs {
namespace {

constexpr Duration kPatience = std::chrono::milliseconds(300);

}  // namespace

void ChunkCreation::OnAnswer(ServerId server, const absl::Status& status, Duration now) {
  for (size_t i = 0; i < answers_.size(); ++i) {
    if (placement_.members[i] != server || answers_[i] != Answer::kNone) continue;
    answers_[i] = status.ok() ? Answer::kCreated : Answer::kFailed;
    // A full disk says more than a lost connection.
    if (!status.ok() && (failure_.ok() || HasReason(status, v1::NO_SPACE))) failure_ = status;
    if (status.ok() &&
        std::count(answers_.begin(), answers_.end(), Answer::kCreated) == kWriteQuorum)
      quorum_since_ = now;
  }
}

ChunkCreation::State ChunkCreation::Evaluate(Duration now) const {
  auto created = std::count(answers_.begin(), answers_.end(), Answer::kCreated);
  auto silent = std::count(answers_.begin(), answers_.end(), Answer::kNone);
  auto all = static_cast<std::ptrdiff_t>(answers_.size());
  if (created == all) return State::kCreated;
  if (silent == 0) return State::kFailed;
  if (created + silent < kWriteQuorum) return State::kFailed;
  if (created >= kWriteQuorum && now - quorum_since_ >= kPatience) return State::kFailed;
  return State::kWaiting;
}

std::vector<ServerId> ChunkCreation::Failed() const {
  std::vector<ServerId> failed;
  for (size_t i = 0; i < answers_.size(); ++i)
    if (answers_[i] != Answer::kCreated) failed.push_back(placement_.members[i]);
  return failed;
}

}  // namespace appendfs
