// ChunkRecovery from the agreement to its end.
#include <algorithm>
#include <utility>

#include "common/planted.h"
#include "master/chunks/recovery.h"

namespace appendfs {

size_t ChunkRecovery::LiveHolders() const {
  return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(),
                                           [](const auto& r) { return r.holds && r.up; }));
}

size_t ChunkRecovery::CopiesUnderWay() const {
  return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(),
                                           [](const auto& r) { return r.copying && r.up; }));
}

// One that was built anew has no room to grow: it does not count.
bool ChunkRecovery::AllHold() const {
  if (PLANTED(kReopenWithAnswered)) return LiveHolders() >= kWriteQuorum;
  return std::all_of(replicas_.begin(), replicas_.end(), [](const Replica& r) {
    return !r.member || (r.up && r.holds && r.fence == Fence::kAnswered);
  });
}

bool ChunkRecovery::AllMayHold() const {
  return AllMayAnswer() && std::all_of(replicas_.begin(), replicas_.end(), [&](const Replica& r) {
           if (!r.member || r.holds || r.fence != Fence::kAnswered) return true;
           bool much =
               r.answer->durable_length + options_.quick_copy_bytes < agreed_.durable_length;
           return !wanted_ || (r.failures == 0 && !much);
         });
}

void ChunkRecovery::StepCopying(Duration now) {
  const bool enough = LiveHolders() >= kWriteQuorum || agreed_.durable_length == 0;
  if (!enough && !forced_ && !PLANTED(kSealBeforeTwo)) return CopyToQuorum(now);
  // An empty chunk that nobody wants is not worth keeping.
  bool keep = Keepable() && agreed_.durable_length <= longest_to_keep_ && !agreed_.sealed &&
              (wanted_ || agreed_.durable_length > 0);
  if (keep && AllHold()) return Settle();
  if (!keep || !AllMayHold() || now >= enough_since_.value_or(now) + Grace()) return ProposeSeal();
  for (Replica& replica : replicas_) {
    bool willing = replica.up && !replica.holds && !replica.copying && replica.copy_retry <= now;
    if (willing && replica.fence == Fence::kAnswered) Copy(replica);
  }
}

void ChunkRecovery::CopyToQuorum(Duration now) {
  const size_t live = LiveHolders();
  bool hopeless = copies_fail_ && CopiesUnderWay() == 0 && now - copying_since_ >= options_.copying;
  // What was agreed on is out of reach: its holders are gone, or have been
  // damaged since they answered. Within an epoch the length never changes, so
  // start again with a new one.
  if (live == 0 || hopeless) return StartOver(now);
  for (Replica& replica : replicas_) {
    bool willing = replica.up && !replica.holds && !replica.copying && replica.copy_retry <= now;
    if (willing && (!replica.member || replica.fence == Fence::kAnswered)) Copy(replica);
  }
  if (live + CopiesUnderWay() >= kWriteQuorum || target_asked_ || now < target_retry_) return;
  PickTarget pick;
  pick.bytes = agreed_.durable_length;
  for (const Replica& replica : replicas_) pick.exclude.push_back(replica.server);
  target_asked_ = true;
  actions_.push_back(std::move(pick));
}

void ChunkRecovery::OnTarget(ServerId server, Duration now) {
  if (state_ != State::kCopying || !target_asked_) return;
  target_asked_ = false;
  if (server) {
    Replica replica;
    replica.server = server;
    replica.member = false;
    replica.up = true;
    replicas_.push_back(std::move(replica));
    return Copy(replicas_.back());
  }
  // Nowhere else: a member whose replica is of no use can be given a new one.
  target_retry_ = now + options_.retry;
  for (Replica& replica : replicas_) {
    bool willing = replica.up && !replica.holds && !replica.copying && replica.copy_retry <= now;
    if (willing && replica.fence == Fence::kUnusable) return Copy(replica);
  }
}

void ChunkRecovery::Copy(Replica& replica) {
  replica.copying = true;
  SendConform conform{
      replica.server, epoch_, agreed_.durable_length, agreed_.crc32c, agreed_.mtime_ns,
      agreed_.memory, {}};
  for (const Replica& other : replicas_)
    if (other.holds && other.up) conform.sources.push_back(other.server);
  actions_.push_back(std::move(conform));
}

bool ChunkRecovery::OnConformAnswer(ServerId server, Epoch epoch, const absl::Status& status,
                                    Duration now) {
  Replica* replica = Find(server);
  if (!replica || epoch != epoch_ || !replica->copying) return false;
  bool news = replica->failures == 0;
  replica->copying = false;
  if (status.ok()) {
    replica->holds = true;
    replica->failures = 0;
  } else {
    replica->copy_retry = Retry(*replica, now);
    copies_fail_ = true;
  }
  Step(now);
  return news;
}

void ChunkRecovery::Settle() {
  if (wanted_) {
    state_ = State::kReopening;
    actions_.push_back(LogReopen{epoch_, agreed_.durable_length, agreed_.mtime_ns});
  } else {
    state_ = State::kParking;
    actions_.push_back(
        LogPark{epoch_, agreed_.durable_length, agreed_.crc32c, agreed_.mtime_ns, agreed_.memory});
  }
}

void ChunkRecovery::ProposeSeal() {
  state_ = State::kSealing;
  LogSeal seal{epoch_,
               agreed_.durable_length,
               agreed_.durable_length == 0 ? 0 : agreed_.crc32c,
               agreed_.mtime_ns,
               agreed_.memory,
               forced_,
               {},
               {}};
  for (const Replica& replica : replicas_)
    if (replica.member)
      (replica.fence == Fence::kAnswered ? seal.answered : seal.missing).push_back(replica.server);
  actions_.push_back(std::move(seal));
}

void ChunkRecovery::End(const absl::Status& status, Action end) {
  state_ = State::kEnded;
  actions_.push_back(status.ok() ? std::move(end) : Action(Abandoned{status}));
}

void ChunkRecovery::OnSealLogged(const absl::Status& status, Duration) {
  if (state_ != State::kSealing) return;
  Sealed sealed;
  for (const Replica& replica : replicas_)
    (replica.holds ? sealed.holders : sealed.strays).push_back(replica.server);
  End(status, std::move(sealed));
}

void ChunkRecovery::OnParkLogged(const absl::Status& status, Duration) {
  if (state_ != State::kParking) return;
  if (status.ok()) SendOpens(ServerId());
  End(status, Parked{});
}

void ChunkRecovery::OnReopenLogged(const absl::Status& status, ServerId primary, Duration now) {
  if (state_ != State::kReopening) return;
  if (!status.ok()) return End(status, Abandoned{});
  state_ = State::kOpening;
  opening_since_ = now;
  SendOpens(primary);
  // Gone since it answered.
  if (!AllHold()) StartOver(now);
}

void ChunkRecovery::SendOpens(ServerId primary) {
  for (const Replica& replica : replicas_)
    if (replica.member && replica.holds)
      actions_.push_back(
          SendOpen{replica.server, epoch_, primary, agreed_.durable_length, agreed_.mtime_ns});
}

void ChunkRecovery::OnOpenAnswer(ServerId server, Epoch epoch, const absl::Status& status,
                                 Duration now) {
  Replica* replica = Find(server);
  if (state_ != State::kOpening || !replica || epoch != epoch_) return;
  if (!status.ok()) {
    ++vain_openings_;
    return StartOver(now);
  }
  replica->opened = true;
  bool all = std::all_of(replicas_.begin(), replicas_.end(),
                         [](const Replica& r) { return !r.member || !r.holds || r.opened; });
  if (all) End(absl::OkStatus(), Reopened{});
}

}  // namespace appendfs
