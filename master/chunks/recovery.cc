// ChunkRecovery from its start to the agreement; recovery_settle.cc has what
// comes after.
#include "master/chunks/recovery.h"

#include <algorithm>
#include <utility>

#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(250);

bool SameBytes(const FenceAnswer& a, const FenceAnswer& b) {
  return a.durable_length == b.durable_length && (a.durable_length == 0 || a.crc32c == b.crc32c);
}

// An answer that says: what is here must not be used, or is not here at all.
bool IsUnusable(const absl::Status& status) {
  return HasReason(status, v1::REPLICA_DAMAGED) || HasReason(status, v1::UNKNOWN_CHUNK) ||
         HasReason(status, v1::CHECKSUM_MISMATCH);
}

// A known bug: remembers what any replica remembers, its bytes there or not.
void Unite(v1::DedupMemory& memory, const v1::DedupMemory& other) {
  for (const v1::ClientMemory& client : other.clients()) {
    v1::ClientMemory* mine = nullptr;
    for (v1::ClientMemory& known : *memory.mutable_clients())
      if (known.client_id() == client.client_id()) mine = &known;
    if (mine == nullptr) {
      *memory.add_clients() = client;
      continue;
    }
    uint64_t last = mine->outcomes_size() == 0 ? 0 : mine->outcomes().rbegin()->sequence();
    for (const auto& outcome : client.outcomes())
      if (outcome.sequence() > last) *mine->add_outcomes() = outcome;
  }
}

}  // namespace

ChunkRecovery::ChunkRecovery(const Setup& setup, const RecoveryOptions& options)
    : options_(options),
      primary_(setup.primary),
      longest_to_keep_(setup.longest_to_keep),
      wanted_(setup.wanted),
      epoch_(setup.epoch) {
  for (const MemberInit& member : setup.members) {
    Replica replica;
    replica.server = member.server;
    replica.up = member.up;
    replica.prompt = member.prompt;
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

// Whether the chunk may go on to live, reopened or parked.
bool ChunkRecovery::Keepable() const {
  return longest_to_keep_ > 0 && !forced_ && vain_openings_ < 2;
}

Duration ChunkRecovery::Retry(Replica& replica, Duration now) {
  Duration wait = options_.retry * (1 << std::min(replica.failures++, 6));
  return now + std::min(wait, options_.longest_retry);
}

void ChunkRecovery::Start(Duration now) {
  begin_at_ = now;
  Step(now);
}

void ChunkRecovery::Want(Duration now) {
  if (wanted_) return;
  wanted_ = true;
  Step(now);
}

void ChunkRecovery::MustSeal(Duration now) {
  if (longest_to_keep_ == 0) return;
  longest_to_keep_ = 0;
  Step(now);
}

void ChunkRecovery::Force(Duration now) {
  forced_ = true;
  begin_at_ = now;
  fencing_since_ = now;  // once more a moment for answers
  Step(now);
}

void ChunkRecovery::TryBegin(Duration now) {
  bool enough = UpMembers() >= NeededAnswers() || forced_;
  if (!enough) {
    enough_since_.reset();
    return;
  }
  if (!enough_since_) enough_since_ = now;
  // Until the rest is there, or will not come soon: fenced without it, the
  // chunk could only be sealed.
  bool hurry = wanted_ || !Keepable() || UpMembers() == Members();
  if (now < begin_at_ || (!hurry && now < *enough_since_ + options_.patience)) return;
  Begin();
}

void ChunkRecovery::Begin() {
  epoch_ = epoch_.Next();
  state_ = State::kBeginning;
  enough_since_.reset();
  target_asked_ = copies_fail_ = false;
  for (Replica& replica : replicas_) {
    replica.fence = Fence::kNone;
    replica.answer.reset();
    replica.holds = replica.copying = replica.opened = false;
    replica.copy_retry = {};
  }
  actions_.push_back(LogBegin{epoch_});
}

// It came to nothing in this epoch. The more often, the longer until the next.
void ChunkRecovery::StartOver(Duration now) {
  state_ = State::kWaiting;
  enough_since_.reset();
  begin_at_ = now;
  if (restarts_ > 0)
    begin_at_ +=
        std::min<Duration>(kFirstBackoff * (1 << std::min(restarts_, 8)), options_.longest_backoff);
  ++restarts_;
  Step(now);
}

void ChunkRecovery::OnBeginLogged(const absl::Status& status, Duration now) {
  if (state_ != State::kBeginning) return;
  if (!status.ok()) return End(status, Abandoned{});
  state_ = State::kFencing;
  fencing_since_ = now;
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

bool ChunkRecovery::OnFenceAnswer(ServerId server, Epoch epoch, absl::StatusOr<FenceAnswer> answer,
                                  Duration now) {
  Replica* replica = Find(server);
  if (!replica || epoch != epoch_ || replica->fence == Fence::kAnswered) return false;
  if (!answer.ok() && replica->fence != Fence::kAsked) return false;
  bool news = replica->failures == 0;
  if (answer.ok()) {
    replica->failures = 0;
    replica->fence = Fence::kAnswered;
    replica->answer = *std::move(answer);
    if (state_ == State::kCopying || state_ == State::kSealing) MarkHolder(*replica);
  } else if (IsUnusable(answer.status())) {
    replica->fence = Fence::kUnusable;
  } else {
    replica->fence = Fence::kFailed;
    replica->fence_retry = Retry(*replica, now);
  }
  Step(now);
  return news;
}

void ChunkRecovery::MarkHolder(Replica& replica) {
  if (replica.answer && SameBytes(*replica.answer, agreed_)) replica.holds = true;
}

// Live replicas of the longest length that stands. Without those of longer
// ones that are gone the rest may still be answers enough.
std::vector<const ChunkRecovery::Replica*> ChunkRecovery::LongestAnswers() const {
  std::vector<const Replica*> answered, source;
  for (const Replica& replica : replicas_)
    if (replica.fence == Fence::kAnswered) answered.push_back(&replica);
  auto sealed = std::find_if(answered.begin(), answered.end(),
                             [](const Replica* r) { return r->answer->sealed; });
  const size_t needed = forced_ ? 1 : NeededAnswers();
  while (source.empty() && answered.size() >= needed) {
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
  return source;
}

bool ChunkRecovery::Agree(Duration now) {
  auto answers =
      static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(), [](const Replica& r) {
        return r.fence == Fence::kAnswered;
      }));
  if (answers < NeededAnswers()) {
    enough_since_.reset();
    return forced_ && AgreeByForce(now);
  }
  if (!enough_since_) enough_since_ = now;
  std::vector<const Replica*> source = LongestAnswers();
  if (source.empty()) return forced_ && AgreeByForce(now);

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
  const uint64_t length = best->answer->durable_length;
  bool quorum = holders >= kWriteQuorum || length == 0;
  bool keep = Keepable() && length <= longest_to_keep_ && !best->answer->sealed && AllMayAnswer();
  bool more_may_come = std::any_of(replicas_.begin(), replicas_.end(), [&](const Replica& r) {
    return r.member && r.up && r.fence == Fence::kAsked && (r.prompt || !wanted_);
  });
  if ((keep || (!quorum && more_may_come)) && answers < Members() && now < *enough_since_ + Grace())
    return false;

  const v1::DedupMemory before = std::move(agreed_.memory);
  agreed_ = *best->answer;
  if (PLANTED(kMergeMemories)) {
    Unite(agreed_.memory, before);
    for (const Replica& replica : replicas_)
      if (replica.answer) Unite(agreed_.memory, replica.answer->memory);
  }
  for (Replica& replica : replicas_) MarkHolder(replica);
  return true;
}

// With what there is, after a last moment for those that have been asked.
bool ChunkRecovery::AgreeByForce(Duration now) {
  bool asked = std::any_of(replicas_.begin(), replicas_.end(), [](const Replica& r) {
    return r.member && r.up && r.fence == Fence::kAsked;
  });
  if (asked && now < fencing_since_ + options_.opening) return false;
  std::vector<const Replica*> source = LongestAnswers();
  agreed_ = source.empty() ? FenceAnswer{} : *source.front()->answer;
  for (Replica& replica : replicas_) MarkHolder(replica);
  return true;
}

bool ChunkRecovery::AllMayAnswer() const {
  return std::all_of(replicas_.begin(), replicas_.end(), [&](const Replica& r) {
    if (!r.member || r.fence == Fence::kAnswered) return true;
    if (!r.up || r.fence == Fence::kUnusable) return false;
    return !wanted_ || (r.prompt && r.fence == Fence::kAsked);
  });
}

void ChunkRecovery::Step(Duration now) {
  if (state_ == State::kWaiting) TryBegin(now);
  if (state_ == State::kFencing || state_ == State::kCopying) SendFences(now);
  if (state_ == State::kFencing && Agree(now)) {
    state_ = State::kCopying;
    copying_since_ = now;
  }
  if (state_ == State::kCopying) StepCopying(now);
  if (state_ == State::kOpening && now >= opening_since_ + options_.opening) {
    ++vain_openings_;
    StartOver(now);
  }
}

void ChunkRecovery::OnServerUp(ServerId server, bool restarted, Duration now) {
  Replica* replica = Find(server);
  if (!replica) return;
  replica->up = replica->prompt = true;
  replica->failures = 0;
  if (replica->fence == Fence::kFailed || replica->fence == Fence::kUnusable)
    replica->fence = Fence::kNone;
  begin_at_ = std::min(begin_at_, now + options_.retry);
  if (state_ == State::kOpening && restarted && replica->member) return StartOver(now);
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
  if (state_ == State::kOpening && replica->member) return StartOver(now);
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
    case State::kReopening:
    case State::kOpening: return "reopening";
    case State::kParking: return "parking";
    case State::kEnded: return "ended";
  }
  return "";
}

}  // namespace appendfs
