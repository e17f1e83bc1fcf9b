// Recoveries under random weather against a model of what the protocol may
// assume. Prints its seed; APPENDFS_SEED=n runs that one
// only, APPENDFS_RUNS=n as many seeds.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "master/chunks/recovery.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

// Bytes of a chunk are a prefix of what its only primary has ordered, so a
// replica's content is a length.
struct ModelReplica {
  uint64_t length = 0;
  uint64_t old_epoch_length = 0;  // what it may have voted for
  Epoch promised{1};
  bool exists = false, damaged = false, up = true;
};

class Weather {
 public:
  explicit Weather(uint64_t seed) : random_(seed) {
    members_ = Chance(3) ? 2 : 3;
    for (size_t i = 0; i < kServers; ++i) replicas_.emplace_back();
    for (size_t i = 0; i < members_; ++i) replicas_[i].exists = true;
    StartMaster();
  }

  void Run() {
    for (int step = 0; step < 400 && !sealed_; ++step) Storm();
    calm_ = true;
    for (size_t i = 0; i < kServers; ++i)
      if (!replicas_[i].up) TurnUp(i);
    for (int step = 0; step < 4000 && !sealed_; ++step) Calm();
    ASSERT_TRUE(sealed_) << "it never ends: " << recovery_->Describe();
    // Votes may still have been under way to the old primary: what they would
    // have acknowledged is in the file too.
    CheckAcknowledged();
  }

 private:
  static constexpr size_t kServers = 5;
  struct Message {
    enum { kFence, kFenceAnswer, kConform, kConformAnswer, kBegin, kSeal } kind;
    size_t server = 0;
    Epoch epoch;
    uint64_t length = 0;
    std::vector<size_t> sources;
    absl::Status status;
    int master = 0;
  };

  bool Chance(int one_in) { return random_() % static_cast<unsigned>(one_in) == 0; }
  size_t Pick(size_t count) { return random_() % count; }
  static ServerId Id(size_t index) { return ServerId(index + 1); }
  static size_t Index(ServerId id) { return id.value() - 1; }
  static uint32_t Crc(uint64_t length) { return static_cast<uint32_t>(length * 2654435761u); }

  void StartMaster() {
    ++master_;
    std::vector<ChunkRecovery::MemberInit> members;
    for (size_t i = 0; i < members_; ++i) members.push_back({Id(i), replicas_[i].up});
    recovery_ = std::make_unique<ChunkRecovery>(members, logged_ == Epoch(1) ? Id(0) : ServerId(),
                                                logged_, RecoveryOptions{});
    recovery_->Start(now_);
    Take();
  }

  void Storm() {
    now_ += milliseconds(Pick(60));
    switch (Pick(12)) {
      case 0: Append(); break;
      case 1: Append(); break;
      case 2: Replicate(); break;
      case 3: Replicate(); break;
      case 4:
        if (Chance(3)) TurnDown(Pick(kServers));
        break;
      case 5: TurnUp(Pick(kServers)); break;
      case 6:
        if (Chance(10)) StartMaster();
        break;
      case 7:
        if (Chance(10)) Damage(Pick(members_));
        break;
      case 8:
        // A copy of a command arrives a second time, maybe much later.
        if (!wire_.empty()) {
          Message again = wire_[Pick(wire_.size())];
          if (again.kind == Message::kFence || again.kind == Message::kConform)
            wire_.push_back(again);
        }
        break;
      default: DeliverOne();
    }
    recovery_->OnTick(now_);
    Take();
  }
  void Calm() {
    now_ += milliseconds(10);
    if (!wire_.empty()) DeliverOne();
    recovery_->OnTick(now_);
    Take();
  }

  void Append() {
    ModelReplica& primary = replicas_[0];
    if (!primary.up || primary.damaged || primary.promised != Epoch(1)) return;
    primary.length += 1 + Pick(5);
    primary.old_epoch_length = ordered_ = primary.length;
  }
  void Replicate() {
    ModelReplica& replica = replicas_[1 + Pick(members_ - 1)];
    if (!replica.up || replica.damaged || replica.promised != Epoch(1)) return;
    if (replica.length < ordered_) replica.length += 1 + Pick(ordered_ - replica.length);
    replica.old_epoch_length = replica.length;
  }
  void TurnDown(size_t server) {
    if (!replicas_[server].up) return;
    replicas_[server].up = false;
    recovery_->OnServerDown(Id(server), now_);
    Take();
  }
  void TurnUp(size_t server) {
    if (replicas_[server].up) return;
    replicas_[server].up = true;
    recovery_->OnServerUp(Id(server), now_);
    Take();
  }
  // As many as the protocol promises to survive.
  void Damage(size_t server) {
    if (damaged_ >= members_ - kWriteQuorum) return;
    ++damaged_;
    replicas_[server].damaged = true;
  }

  void Take() {
    for (ChunkRecovery::Action& action : recovery_->TakeActions()) {
      Message message;
      message.master = master_;
      if (auto* begin = std::get_if<ChunkRecovery::LogBegin>(&action)) {
        message.kind = Message::kBegin;
        message.epoch = begin->epoch;
      } else if (auto* fence = std::get_if<ChunkRecovery::SendFence>(&action)) {
        message.kind = Message::kFence;
        message.server = Index(fence->server);
        message.epoch = fence->epoch;
      } else if (auto* conform = std::get_if<ChunkRecovery::SendConform>(&action)) {
        message.kind = Message::kConform;
        message.server = Index(conform->server);
        message.epoch = conform->epoch;
        message.length = conform->length;
        for (ServerId source : conform->sources) message.sources.push_back(Index(source));
        auto [agreed, is_new] = agreed_.try_emplace(conform->epoch, conform->length);
        EXPECT_EQ(agreed->second, conform->length) << "one epoch, two lengths";
      } else if (auto* seal = std::get_if<ChunkRecovery::LogSeal>(&action)) {
        message.kind = Message::kSeal;
        message.epoch = seal->epoch;
        message.length = seal->length;
      } else if (auto* pick = std::get_if<ChunkRecovery::PickTarget>(&action)) {
        ServerId target;
        for (size_t i = members_; i < kServers; ++i)
          if (replicas_[i].up &&
              std::find(pick->exclude.begin(), pick->exclude.end(), Id(i)) == pick->exclude.end())
            target = Id(i);
        recovery_->OnTarget(target, now_);
        return Take();
      } else if (std::holds_alternative<ChunkRecovery::Abandoned>(action)) {
        StartMaster();
        return;
      } else {
        continue;
      }
      wire_.push_back(std::move(message));
    }
  }

  void DeliverOne() {
    if (wire_.empty()) return;
    size_t at = Pick(wire_.size());
    Message message = std::move(wire_[at]);
    wire_.erase(wire_.begin() + static_cast<long>(at));
    bool mine = message.master == master_;
    switch (message.kind) {
      case Message::kBegin: return LogBegin(message, mine);
      case Message::kSeal: return LogSeal(message, mine);
      case Message::kFence: return Fence(std::move(message));
      case Message::kConform: return Conform(std::move(message));
      case Message::kFenceAnswer:
        if (!mine) return;
        if (!message.status.ok()) {
          recovery_->OnFenceAnswer(Id(message.server), message.epoch, message.status, now_);
        } else {
          FenceAnswer answer;
          answer.durable_length = message.length;
          answer.crc32c = Crc(message.length);
          recovery_->OnFenceAnswer(Id(message.server), message.epoch, answer, now_);
        }
        return Take();
      case Message::kConformAnswer:
        if (!mine) return;
        recovery_->OnConformAnswer(Id(message.server), message.epoch, message.status, now_);
        return Take();
    }
  }

  void LogBegin(const Message& message, bool mine) {
    absl::Status status;
    if (message.epoch == logged_.Next() && !sealed_)
      logged_ = message.epoch;
    else
      status = MakeError(v1::STALE_EPOCH, "not the next epoch");
    if (!mine) return;
    recovery_->OnBeginLogged(status, now_);
    Take();
  }
  void LogSeal(const Message& message, bool mine) {
    absl::Status status = MakeError(v1::STALE_EPOCH, "an older recovery");
    if (message.epoch == logged_) {
      status = absl::OkStatus();
      sealed_ = true;
      length_ = message.length;
      CheckAcknowledged();
      EXPECT_LE(length_, ordered_);
      long holders = std::count_if(replicas_.begin(), replicas_.end(), [&](const auto& r) {
        return r.exists && !r.damaged && r.length == length_ && r.promised == message.epoch;
      });
      // One may have been damaged after it had answered.
      if (length_ > 0) {
        EXPECT_GE(holders + static_cast<long>(damaged_), kWriteQuorum);
      }
    }
    if (!mine) return;
    recovery_->OnSealLogged(status, now_);
    Take();
  }

  void Fence(Message message) {
    ModelReplica& replica = replicas_[message.server];
    message.kind = Message::kFenceAnswer;
    if (!replica.up) {
      message.status = MakeError(v1::UNREACHABLE, "down");
    } else if (!replica.exists) {
      message.status = MakeError(v1::UNKNOWN_CHUNK, "nothing here");
    } else if (replica.damaged) {
      message.status = MakeError(v1::REPLICA_DAMAGED, "damaged");
    } else if (replica.promised > message.epoch) {
      message.status = MakeError(v1::STALE_EPOCH, "promised");
    } else {
      replica.promised = message.epoch;
      message.length = replica.length;
      if (!calm_ && Chance(6)) message.status = MakeError(v1::TIMED_OUT, "answer lost");
    }
    wire_.push_back(std::move(message));
  }

  void Conform(Message message) {
    ModelReplica& replica = replicas_[message.server];
    message.kind = Message::kConformAnswer;
    bool source = false;
    for (size_t from : message.sources) {
      const ModelReplica& other = replicas_[from];
      source |= other.up && other.exists && !other.damaged && other.promised == message.epoch &&
                other.length >= message.length;
    }
    if (!replica.up) {
      message.status = MakeError(v1::UNREACHABLE, "down");
    } else if (replica.exists && replica.promised > message.epoch) {
      message.status = MakeError(v1::STALE_EPOCH, "promised");
    } else if ((!replica.exists || replica.damaged || replica.length < message.length) && !source) {
      message.status = MakeError(v1::UNREACHABLE, "no source");
    } else {
      if (replica.damaged) --damaged_;
      replica.exists = true;
      replica.damaged = false;
      replica.promised = message.epoch;
      replica.length = message.length;
      if (!calm_ && Chance(6)) message.status = MakeError(v1::TIMED_OUT, "answer lost");
    }
    wire_.push_back(std::move(message));
  }

  // A byte may have been acknowledged if a write quorum ever held it in the
  // first epoch.
  void CheckAcknowledged() {
    std::vector<uint64_t> votes;
    for (size_t i = 0; i < members_; ++i) votes.push_back(replicas_[i].old_epoch_length);
    std::sort(votes.rbegin(), votes.rend());
    EXPECT_GE(length_, votes[kWriteQuorum - 1]) << "acknowledged bytes are lost";
  }

  std::mt19937_64 random_;
  size_t members_ = 3;
  std::vector<ModelReplica> replicas_;  // members first, then spare servers
  uint64_t ordered_ = 0;
  size_t damaged_ = 0;
  Duration now_ = std::chrono::seconds(1);
  int master_ = 0;
  Epoch logged_{1};
  bool calm_ = false, sealed_ = false;
  uint64_t length_ = 0;
  std::map<Epoch, uint64_t> agreed_;
  std::vector<Message> wire_;
  std::unique_ptr<ChunkRecovery> recovery_;
};

TEST(RecoveryRandomTest, Storm_AnyOrder_AcknowledgedBytesStayAndItEnds) {
  auto number = [](const char* name) {
    const char* value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : 0ull;
  };
  uint64_t first = 1, last = 20000;
  if (uint64_t runs = number("APPENDFS_RUNS")) last = runs;
  if (uint64_t seed = number("APPENDFS_SEED")) first = last = seed;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE(testing::Message() << "APPENDFS_SEED=" << seed);
    Weather(seed).Run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace appendfs
