#include "master/chunks/recovery.h"

#include <algorithm>
#include <utility>

#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

bool SameBytes(const FenceAnswer& a, const FenceAnswer& b) {
  return a.durable_length == b.durable_length && (a.durable_length == 0 || a.crc32c == b.crc32c);
}

// An answer that says: what is here must not be used, or is not here at all.
bool IsUnusable(const absl::Status& status) {
  return HasReason(status, v1::REPLICA_DAMAGED) || HasReason(status, v1::UNKNOWN_CHUNK) ||
         HasReason(status, v1::CHECKSUM_MISMATCH);
}

}  // namespace

ChunkRecovery::ChunkRecovery(const std::vector<MemberInit>& members, ServerId primary, Epoch epoch,
                             const RecoveryOptions& options)
    : options_(options), primary_(primary), epoch_(epoch) {
  for (const MemberInit& member : members) {
    Replica replica;
    replica.server = member.server;
    replica.up = member.up;
    replicas_.push_back(std::move(replica));
  }
}

ChunkRecovery::Replica* ChunkRecovery::Find(ServerId server) {
  for (Replica& replica : replicas_)
    if (replica.server == server) return &replica;
  return nullptr;
}

size_t ChunkRecovery::Members() const {
  return static_cast<size_t>(
      std::count_if(replicas_.begin(), replicas_.end(), [](const auto& r) { return r.member; }));
}

size_t ChunkRecovery::UpMembers() const {
  return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(),
                                           [](const auto& r) { return r.member && r.up; }));
}

size_t ChunkRecovery::NeededAnswers() const {
  return PLANTED(kTooFewAnswers) ? 1 : Members() - kWriteQuorum + 1;
}

size_t ChunkRecovery::LiveHolders() const {
  return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(),
                                           [](const auto& r) { return r.holds && r.up; }));
}

void ChunkRecovery::Start(Duration now) { Step(now); }

void ChunkRecovery::Begin() {
  epoch_ = epoch_.Next();
  state_ = State::kBeginning;
  enough_since_.reset();
  target_asked_ = copies_fail_ = false;
  for (Replica& replica : replicas_) {
    replica.fence = Fence::kNone;
    replica.answer.reset();
    replica.holds = replica.copying = false;
    replica.copy_retry = {};
  }
  actions_.push_back(LogBegin{epoch_});
}

void ChunkRecovery::OnBeginLogged(const absl::Status& status, Duration now) {
  if (state_ != State::kBeginning) return;
  if (!status.ok()) {
    state_ = State::kEnded;
    actions_.push_back(Abandoned{status});
    return;
  }
  state_ = State::kFencing;
  Step(now);
}

void ChunkRecovery::SendFences(Duration now) {
  for (Replica& replica : replicas_) {
    if (!replica.member || !replica.up) continue;
    bool due = replica.fence == Fence::kNone ||
               (replica.fence == Fence::kFailed && replica.fence_retry <= now);
    if (!due) continue;
    replica.fence = Fence::kAsked;
    actions_.push_back(SendFence{replica.server, epoch_});
  }
}

void ChunkRecovery::OnFenceAnswer(ServerId server, Epoch epoch, absl::StatusOr<FenceAnswer> answer,
                                  Duration now) {
  Replica* replica = Find(server);
  if (!replica || epoch != epoch_ || replica->fence == Fence::kAnswered) return;
  if (!answer.ok() && replica->fence != Fence::kAsked) return;
  if (answer.ok()) {
    replica->fence = Fence::kAnswered;
    replica->answer = *std::move(answer);
    if (state_ == State::kCopying || state_ == State::kSealing) MarkHolder(*replica);
  } else if (IsUnusable(answer.status())) {
    replica->fence = Fence::kUnusable;
  } else {
    replica->fence = Fence::kFailed;
    replica->fence_retry = now + options_.retry;
  }
  Step(now);
}

void ChunkRecovery::MarkHolder(Replica& replica) {
  if (replica.answer && SameBytes(*replica.answer, agreed_)) replica.holds = true;
}

bool ChunkRecovery::Agree(Duration now) {
  std::vector<const Replica*> answered;
  for (const Replica& replica : replicas_)
    if (replica.fence == Fence::kAnswered) answered.push_back(&replica);
  if (answered.size() < NeededAnswers()) {
    enough_since_.reset();
    return false;
  }
  if (!enough_since_) enough_since_ = now;

  // The longest answer stands, and a live server must hold it. Without the
  // longest ones the rest may still be answers enough.
  std::vector<const Replica*> source;
  auto sealed = std::find_if(answered.begin(), answered.end(),
                             [](const Replica* r) { return r->answer->sealed; });
  while (source.empty() && answered.size() >= NeededAnswers()) {
    uint64_t length = 0;
    for (const Replica* replica : answered)
      length = PLANTED(kAgreeOnShortest) && replica != answered.front()
                   ? std::min(length, replica->answer->durable_length)
                   : std::max(length, replica->answer->durable_length);
    if (sealed != answered.end()) length = (*sealed)->answer->durable_length;
    for (const Replica* replica : answered)
      if (replica->answer->durable_length == length && replica->up) source.push_back(replica);
    if (!source.empty() || sealed != answered.end()) break;
    std::erase_if(answered, [&](const Replica* r) { return r->answer->durable_length == length; });
    sealed = answered.end();
  }
  if (source.empty()) return false;

  // Replicas of one length have the same bytes, unless a disk lied: then those
  // that agree with each other are believed, and the primary before others.
  const Replica* best = nullptr;
  long best_score = -1;
  for (const Replica* candidate : source) {
    long agreeing = std::count_if(source.begin(), source.end(), [&](const Replica* other) {
      return SameBytes(*candidate->answer, *other->answer);
    });
    long score = 4 * agreeing + (candidate->answer->sealed ? 2 : 0) +
                 (candidate->server == primary_ ? 1 : 0);
    if (score > best_score) {
      best = candidate;
      best_score = score;
    }
  }
  auto holders = std::count_if(source.begin(), source.end(), [&](const Replica* r) {
    return SameBytes(*r->answer, *best->answer);
  });
  bool quorum = holders >= kWriteQuorum || best->answer->durable_length == 0;
  bool more_may_come = std::any_of(replicas_.begin(), replicas_.end(), [](const Replica& r) {
    return r.member && r.up && r.fence == Fence::kAsked;
  });
  if (!quorum && more_may_come && now < *enough_since_ + options_.grace) return false;

  agreed_ = *best->answer;
  for (Replica& replica : replicas_) MarkHolder(replica);
  return true;
}

void ChunkRecovery::Step(Duration now) {
  if (state_ == State::kWaiting && UpMembers() >= NeededAnswers()) Begin();
  if (state_ == State::kFencing || state_ == State::kCopying) SendFences(now);
  if (state_ == State::kFencing && Agree(now)) {
    state_ = State::kCopying;
    copying_since_ = now;
  }
  if (state_ == State::kCopying) StepCopying(now);
}

void ChunkRecovery::StepCopying(Duration now) {
  size_t live = LiveHolders();
  if (live >= kWriteQuorum || PLANTED(kSealBeforeTwo) || agreed_.durable_length == 0)
    return ProposeSeal();
  auto under_way = std::count_if(replicas_.begin(), replicas_.end(),
                                 [](const Replica& r) { return r.copying && r.up; });
  bool hopeless = copies_fail_ && under_way == 0 && now - copying_since_ >= options_.copying;
  if (live == 0 || hopeless) {
    // What was agreed on is out of reach: its holders are gone, or have been
    // damaged since they answered. Within an epoch the length never changes,
    // so start again with a new one.
    state_ = State::kWaiting;
    if (UpMembers() >= NeededAnswers()) Begin();
    return;
  }
  for (Replica& replica : replicas_) {
    bool willing = replica.up && !replica.holds && !replica.copying && replica.copy_retry <= now;
    if (willing && (!replica.member || replica.fence == Fence::kAnswered)) Copy(replica);
  }
  under_way = std::count_if(replicas_.begin(), replicas_.end(),
                            [](const Replica& r) { return r.copying && r.up; });
  if (live + static_cast<size_t>(under_way) >= kWriteQuorum || target_asked_ || now < target_retry_)
    return;
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

void ChunkRecovery::OnConformAnswer(ServerId server, Epoch epoch, const absl::Status& status,
                                    Duration now) {
  Replica* replica = Find(server);
  if (!replica || epoch != epoch_ || !replica->copying) return;
  replica->copying = false;
  if (status.ok()) {
    replica->holds = true;
  } else {
    replica->copy_retry = now + options_.retry;
    copies_fail_ = true;
  }
  Step(now);
}

void ChunkRecovery::ProposeSeal() {
  state_ = State::kSealing;
  actions_.push_back(LogSeal{epoch_, agreed_.durable_length,
                             agreed_.durable_length == 0 ? 0 : agreed_.crc32c, agreed_.mtime_ns,
                             agreed_.memory});
}

void ChunkRecovery::OnSealLogged(const absl::Status& status, Duration now) {
  if (state_ != State::kSealing) return;
  state_ = State::kEnded;
  if (!status.ok()) {
    actions_.push_back(Abandoned{status});
    return;
  }
  Sealed sealed;
  for (const Replica& replica : replicas_)
    (replica.holds ? sealed.holders : sealed.strays).push_back(replica.server);
  actions_.push_back(std::move(sealed));
}

void ChunkRecovery::OnServerUp(ServerId server, Duration now) {
  Replica* replica = Find(server);
  if (!replica) return;
  replica->up = true;
  if (replica->fence == Fence::kFailed || replica->fence == Fence::kUnusable)
    replica->fence = Fence::kNone;
  Step(now);
}

void ChunkRecovery::OnServerDown(ServerId server, Duration now) {
  Replica* replica = Find(server);
  if (!replica) return;
  replica->up = false;
  if (replica->fence == Fence::kAsked) {
    replica->fence = Fence::kFailed;
    replica->fence_retry = now;
  }
  Step(now);
}

void ChunkRecovery::OnTick(Duration now) { Step(now); }

std::vector<ChunkRecovery::Action> ChunkRecovery::TakeActions() {
  return std::exchange(actions_, {});
}

std::string ChunkRecovery::Describe() const {
  auto answers = std::count_if(replicas_.begin(), replicas_.end(),
                               [](const Replica& r) { return r.fence == Fence::kAnswered; });
  switch (state_) {
    case State::kWaiting:
      return StrCat("waits for its servers: ", UpMembers(), " of ", Members(), " are alive, ",
                    NeededAnswers(), " are needed");
    case State::kBeginning:
    case State::kFencing:
      return StrCat("fencing: ", answers, " of ", Members(), " replicas have answered, ",
                    NeededAnswers(), " are needed");
    case State::kCopying:
      return StrCat("copying ", agreed_.durable_length, " bytes: ", LiveHolders(),
                    " live servers hold them, 2 are needed");
    case State::kSealing: return "sealing";
    case State::kEnded: return "ended";
  }
  return "";
}

}  // namespace appendfs
