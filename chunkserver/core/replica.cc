#include "chunkserver/core/replica.h"

#include <algorithm>
#include <utility>

#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {

Replica::Replica(const Setup& setup, const Options& options, Output& output)
    : handle_(setup.handle),
      capacity_(setup.capacity),
      options_(options),
      output_(output),
      epoch_(setup.epoch),
      stored_(setup.durable_length),
      durable_(setup.durable_length),
      committed_(setup.committed_length),
      shown_(setup.committed_length) {}

absl::Status Replica::Check(const Ready& ready) const {
  if (ready.epoch < epoch_ && !PLANTED(kAcceptOldEpoch))
    return MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle_, " has promised epoch=", epoch_,
                                             ", not ", ready.epoch));
  if (ready.epoch > epoch_)
    return MakeError(v1::INVALID, StrCat("chunk=", handle_, " has not promised epoch=", ready.epoch,
                                         " but ", epoch_));
  if (!failure_.ok()) return failure_;
  if (!ready.intact)
    return MakeError(v1::CHECKSUM_MISMATCH,
                     StrCat("chunk=", handle_, " offset=", ready.offset, ": damaged on the way"));
  if (ready.payload.empty() || ready.offset > capacity_ ||
      ready.payload.size() > capacity_ - ready.offset)
    return MakeError(v1::INVALID, StrCat("chunk=", handle_, " offset=", ready.offset,
                                         " length=", ready.payload.size(),
                                         " is outside a chunk of ", capacity_));
  return absl::OkStatus();
}

void Replica::Refuse(const Ready& ready, absl::Status why) {
  output_.CastVote({handle_, ready.epoch, durable_, std::move(why)});
}

void Replica::OnReady(const Ready& ready) {
  if (absl::Status status = Check(ready); !status.ok()) return Refuse(ready, std::move(status));
  const uint64_t end = ready.offset + ready.payload.size();
  if (end <= stored_) {  // sent again; what is still being stored is voted for when it is durable
    if (end <= durable_) output_.CastVote({handle_, epoch_, durable_, absl::OkStatus()});
    return;
  }
  if (ready.offset < stored_)
    return Refuse(ready,
                  MakeError(v1::INVALID, StrCat("chunk=", handle_, " offset=", ready.offset,
                                                " cuts through a batch that ends at ", stored_)));
  if (PLANTED(kTakeOutOfOrder) && ready.offset > stored_) {
    Ready moved = ready;
    moved.offset = stored_;
    return Take(moved);
  }
  if (ready.offset == stored_) {
    Take(ready);
    return TakeBuffered();
  }
  if (early_.contains(ready.offset)) return;
  if (early_bytes_ + ready.payload.size() > options_.max_buffered_bytes)
    return Refuse(
        ready, MakeError(v1::PREDECESSOR_MISSING,
                         StrCat("chunk=", handle_, ": nothing from ", stored_, " to ", ready.offset,
                                " has come, and ", early_bytes_, " bytes wait")));
  early_bytes_ += ready.payload.size();
  early_.emplace(ready.offset, ready);
}

void Replica::Take(const Ready& ready) {
  voting_epoch_ = ready.epoch;
  stored_ = ready.offset + ready.payload.size();
  output_.Store(ready);
  if (PLANTED(kVoteBeforeSync)) output_.CastVote({handle_, epoch_, stored_, absl::OkStatus()});
}

void Replica::TakeBuffered() {
  while (!early_.empty() && early_.begin()->first <= stored_) {
    auto first = early_.extract(early_.begin());
    early_bytes_ -= first.mapped().payload.size();
    if (first.key() == stored_) Take(first.mapped());
  }
}

void Replica::OnDurable(uint64_t length) {
  durable_ = std::max(durable_, std::min(length, stored_));
  Show();
  // After a newer promise the answer to the fence speaks for these bytes.
  if (voting_epoch_ == epoch_ || PLANTED(kAcceptOldEpoch))
    output_.CastVote({handle_, voting_epoch_, durable_, absl::OkStatus()});
}

void Replica::OnFailed(const absl::Status& why) {
  if (failure_.ok()) failure_ = why;
  early_.clear();
  early_bytes_ = 0;
  if (voting_epoch_ == epoch_) output_.CastVote({handle_, epoch_, durable_, failure_});
}

void Replica::OnCommit(const Commit& commit) {
  if (commit.epoch != epoch_) return;
  committed_ = std::max(committed_, commit.length);
  Show();
}

void Replica::Show() {
  uint64_t length = PLANTED(kShowUncommitted) ? durable_ : std::min(committed_, durable_);
  if (length <= shown_) return;
  shown_ = length;
  output_.ShowCommitted(length);
}

ConfirmAnswer Replica::OnConfirm(const Confirm& confirm) const {
  return {handle_, confirm.round, epoch_, absl::OkStatus()};
}

absl::Status Replica::Promise(Epoch epoch) {
  if (epoch < epoch_)
    return MakeError(v1::STALE_EPOCH,
                     StrCat("chunk=", handle_, " has promised epoch=", epoch_, ", not ", epoch));
  if (epoch == epoch_) return absl::OkStatus();
  epoch_ = epoch;
  early_.clear();
  early_bytes_ = 0;
  return absl::OkStatus();
}

}  // namespace appendfs
