// Recoveries under random weather against a model of what the protocol may
// assume. Prints its seed; APPENDFS_SEED=n runs that one
// only, APPENDFS_RUNS=n as many seeds.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>

#include "master/chunks/recovery.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

// What is durable of a replica. Bytes differ by the epoch that ordered them, so
// that two histories cannot be mistaken for each other.
struct ModelReplica {
  std::string data;
  Epoch promised{1};
  bool exists = false, damaged = false, up = true;
  int life = 0;       // of the process; orders of an older one are refused
  Epoch opened;       // takes appends under it, in this life
  Epoch primary_of;   // orders them, in this life
  Epoch voted_epoch;  // what the primary of this epoch has heard from it
  uint64_t voted = 0;
};

class Weather {
 public:
  explicit Weather(uint64_t seed) : random_(seed) {
    members_ = Chance(3) ? 2 : 3;
    for (size_t i = 0; i < kServers; ++i) replicas_.emplace_back();
    for (size_t i = 0; i < members_; ++i) {
      replicas_[i].exists = true;
      replicas_[i].opened = replicas_[i].voted_epoch = Epoch(1);
    }
    replicas_[0].primary_of = Epoch(1);
    StartRecovery(Chance(2));
  }

  void Run() {
    for (int step = 0; step < 600 && !sealed_; ++step) Storm();
    calm_ = true;
    for (size_t i = 0; i < kServers; ++i)
      if (!replicas_[i].up) TurnUp(i);
    if (!sealed_ && recovery_->ended()) StartRecovery(true);
    recovery_->MustSeal(now_);
    Take();
    for (int step = 0; step < 8000 && !sealed_; ++step) Calm();
    ASSERT_TRUE(sealed_) << "it never ends: " << recovery_->Describe();
  }
  int reopened() const { return reopened_; }
  int parked() const { return parked_; }

 private:
  static constexpr size_t kServers = 5;
  static constexpr uint64_t kRoom = 150;
  struct Message {
    enum {
      kFence,
      kFenceAnswer,
      kConform,
      kConformAnswer,
      kOpen,
      kOpenAnswer,
      kBegin,
      kSeal,
      kReopen,
      kPark
    } kind;
    size_t server = 0;
    Epoch epoch;
    uint64_t length = 0;
    std::string data;  // of an answer
    std::vector<size_t> sources;
    ServerId primary;
    absl::Status status;
    int recovery = 0;
    int life = 0;  // of the server it is for
  };

  bool Chance(int one_in) { return random_() % static_cast<unsigned>(one_in) == 0; }
  size_t Pick(size_t count) { return random_() % count; }
  static ServerId Id(size_t index) { return ServerId(index + 1); }
  static size_t Index(ServerId id) { return id.value() - 1; }
  static uint32_t Crc(std::string_view data) {
    return static_cast<uint32_t>(std::hash<std::string_view>()(data));
  }

  // By this master or the next one.
  void StartRecovery(bool wanted) {
    ++number_;
    ChunkRecovery::Setup setup;
    for (size_t i = 0; i < members_; ++i)
      setup.members.push_back({Id(i), replicas_[i].up, !Chance(5)});
    setup.primary = logged_ == Epoch(1) ? Id(0) : ServerId();
    setup.epoch = logged_;
    setup.longest_to_keep = calm_ || Chance(6) ? 0 : kRoom;
    setup.wanted = wanted;
    recovery_ = std::make_unique<ChunkRecovery>(setup, RecoveryOptions{});
    recovery_->Start(now_);
    Take();
  }

  void Storm() {
    now_ += milliseconds(Pick(15));
    switch (Pick(14)) {
      case 0:
      case 1: Append(); break;
      case 2:
      case 3:
      case 4: Replicate(); break;
      case 5:
        if (Chance(3)) TurnDown(Pick(kServers));
        break;
      case 6: TurnUp(Pick(kServers)); break;
      case 7:
        // A master that starts finds what it began under way; another reason
        // for a recovery comes up.
        if (recovery_->ended() ? Chance(3) : Chance(10)) StartRecovery(Chance(2));
        break;
      case 8:
        if (Chance(10)) Damage(Pick(members_));
        break;
      case 9:
        // A copy of a command arrives a second time, maybe much later.
        if (!wire_.empty()) {
          Message again = wire_[Pick(wire_.size())];
          if (again.kind == Message::kFence || again.kind == Message::kConform ||
              again.kind == Message::kOpen)
            wire_.push_back(again);
        }
        break;
      case 10:
        if (Chance(3)) recovery_->Want(now_);
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
    if (!sealed_ && recovery_->ended()) StartRecovery(true);
  }

  void Append() {
    for (ModelReplica& replica : replicas_) {
      if (!replica.up || replica.damaged || !replica.primary_of ||
          replica.promised != replica.primary_of)
        continue;
      replica.data.append(1 + Pick(5), static_cast<char>('a' + replica.promised.value() % 26));
      replica.voted_epoch = replica.promised;
      replica.voted = replica.data.size();
    }
    Commit();
  }
  void Replicate() {
    ModelReplica& replica = replicas_[Pick(members_)];
    for (const ModelReplica& primary : replicas_) {
      if (&primary == &replica || !primary.primary_of || primary.damaged || !primary.up) continue;
      // The primary does not know that it has been fenced; the replica would.
      if (!replica.up || replica.damaged || replica.promised != primary.primary_of) continue;
      if (primary.promised != primary.primary_of || replica.opened != replica.promised) continue;
      if (primary.data.size() <= replica.data.size()) continue;
      EXPECT_EQ(primary.data.substr(0, replica.data.size()), replica.data) << "it does not follow";
      const size_t more = 1 + Pick(primary.data.size() - replica.data.size());
      replica.data = primary.data.substr(0, replica.data.size() + more);
      replica.voted_epoch = primary.primary_of;
      replica.voted = replica.data.size();
    }
    Commit();
  }
  // What a primary may acknowledge now.
  void Commit() {
    for (const ModelReplica& primary : replicas_) {
      if (!primary.primary_of || !primary.up || primary.promised != primary.primary_of) continue;
      std::vector<uint64_t> votes;
      for (size_t i = 0; i < members_; ++i)
        votes.push_back(replicas_[i].voted_epoch == primary.primary_of ? replicas_[i].voted : 0);
      std::sort(votes.rbegin(), votes.rend());
      const uint64_t committed = votes[kWriteQuorum - 1];
      if (committed <= acknowledged_.size()) continue;
      EXPECT_EQ(primary.data.substr(0, acknowledged_.size()), acknowledged_);
      acknowledged_ = primary.data.substr(0, committed);
    }
  }
  void TurnDown(size_t server) {
    ModelReplica& replica = replicas_[server];
    if (!replica.up) return;
    replica.up = false;
    replica.opened = replica.primary_of = Epoch();
    ++replica.life;
    recovery_->OnServerDown(Id(server), now_);
    Take();
  }
  void TurnUp(size_t server) {
    if (replicas_[server].up) return;
    replicas_[server].up = true;
    recovery_->OnServerUp(Id(server), /*restarted=*/true, now_);
    Take();
  }
  // As many as the protocol promises to survive.
  void Damage(size_t server) {
    if (damaged_ >= members_ - kWriteQuorum) return;
    ++damaged_;
    replicas_[server].damaged = true;
    replicas_[server].primary_of = replicas_[server].opened = Epoch();
  }

  void Take() {
    for (ChunkRecovery::Action& action : recovery_->TakeActions()) {
      Message message;
      message.recovery = number_;
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
      } else if (auto* open = std::get_if<ChunkRecovery::SendOpen>(&action)) {
        message.kind = Message::kOpen;
        message.server = Index(open->server);
        message.epoch = open->epoch;
        message.length = open->length;
        message.primary = open->primary;
      } else if (auto* seal = std::get_if<ChunkRecovery::LogSeal>(&action)) {
        message.kind = Message::kSeal;
        message.epoch = seal->epoch;
        message.length = seal->length;
      } else if (auto* reopen = std::get_if<ChunkRecovery::LogReopen>(&action)) {
        message.kind = Message::kReopen;
        message.epoch = reopen->epoch;
        message.length = reopen->length;
      } else if (auto* park = std::get_if<ChunkRecovery::LogPark>(&action)) {
        message.kind = Message::kPark;
        message.epoch = park->epoch;
        message.length = park->length;
      } else if (auto* pick = std::get_if<ChunkRecovery::PickTarget>(&action)) {
        ServerId target;
        for (size_t i = members_; i < kServers; ++i)
          if (replicas_[i].up &&
              std::find(pick->exclude.begin(), pick->exclude.end(), Id(i)) == pick->exclude.end())
            target = Id(i);
        recovery_->OnTarget(target, now_);
        return Take();
      } else if (std::holds_alternative<ChunkRecovery::Abandoned>(action)) {
        if (!sealed_) StartRecovery(Chance(2));
        return;
      } else if (std::holds_alternative<ChunkRecovery::Reopened>(action)) {
        ++reopened_;
        continue;
      } else if (std::holds_alternative<ChunkRecovery::Parked>(action)) {
        ++parked_;
        continue;
      } else {
        continue;
      }
      message.life = replicas_[message.server].life;
      wire_.push_back(std::move(message));
    }
  }

  void DeliverOne() {
    if (wire_.empty()) return;
    size_t at = Pick(wire_.size());
    Message message = std::move(wire_[at]);
    wire_.erase(wire_.begin() + static_cast<long>(at));
    bool mine = message.recovery == number_;
    switch (message.kind) {
      case Message::kBegin: return LogBegin(message, mine);
      case Message::kSeal:
      case Message::kReopen:
      case Message::kPark: return LogEnd(message, mine);
      case Message::kFence: return Fence(std::move(message));
      case Message::kConform: return Conform(std::move(message));
      case Message::kOpen: return Open(std::move(message));
      case Message::kFenceAnswer:
        if (!mine) return;
        if (!message.status.ok()) {
          recovery_->OnFenceAnswer(Id(message.server), message.epoch, message.status, now_);
        } else {
          FenceAnswer answer;
          answer.durable_length = message.data.size();
          answer.crc32c = Crc(message.data);
          recovery_->OnFenceAnswer(Id(message.server), message.epoch, answer, now_);
        }
        return Take();
      case Message::kConformAnswer:
        if (!mine) return;
        recovery_->OnConformAnswer(Id(message.server), message.epoch, message.status, now_);
        return Take();
      case Message::kOpenAnswer:
        if (!mine) return;
        recovery_->OnOpenAnswer(Id(message.server), message.epoch, message.status, now_);
        return Take();
    }
  }

  void LogBegin(const Message& message, bool mine) {
    absl::Status status;
    if (message.epoch == logged_.Next() && !sealed_) {
      logged_ = message.epoch;
      recovering_ = true;
    } else {
      status = MakeError(v1::STALE_EPOCH, "not the next epoch");
    }
    if (!mine) return;
    recovery_->OnBeginLogged(status, now_);
    Take();
  }
  void LogEnd(const Message& message, bool mine) {
    absl::Status status = MakeError(v1::STALE_EPOCH, "an older recovery");
    if (message.epoch == logged_ && recovering_) {
      status = absl::OkStatus();
      recovering_ = false;
      sealed_ = message.kind == Message::kSeal;
      CheckAgreed(message);
    }
    if (!mine) return;
    if (message.kind == Message::kSeal) recovery_->OnSealLogged(status, now_);
    if (message.kind == Message::kPark) recovery_->OnParkLogged(status, now_);
    if (message.kind == Message::kReopen)
      recovery_->OnReopenLogged(status, Id(Pick(members_)), now_);
    Take();
  }
  // Holders have all that was acknowledged, and are as many as are needed; one
  // may have been damaged after it had answered.
  void CheckAgreed(const Message& message) {
    size_t holders = 0, members = 0;
    for (size_t i = 0; i < kServers; ++i) {
      const ModelReplica& replica = replicas_[i];
      if (!replica.exists || replica.damaged || replica.data.size() != message.length ||
          replica.promised != message.epoch)
        continue;
      EXPECT_EQ(replica.data.substr(0, acknowledged_.size()), acknowledged_)
          << "acknowledged bytes are lost";
      ++holders;
      members += i < members_;
    }
    EXPECT_GE(message.length, acknowledged_.size()) << "acknowledged bytes are lost";
    if (message.length > 0) {
      EXPECT_GE(holders + damaged_, static_cast<size_t>(kWriteQuorum));
    }
    if (message.kind != Message::kSeal) {
      EXPECT_GE(members + damaged_, members_);
    }
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
      message.data = replica.data;
      if (!calm_ && Chance(6)) message.status = MakeError(v1::TIMED_OUT, "answer lost");
    }
    wire_.push_back(std::move(message));
  }

  void Conform(Message message) {
    ModelReplica& replica = replicas_[message.server];
    message.kind = Message::kConformAnswer;
    const ModelReplica* source = nullptr;
    for (size_t from : message.sources) {
      const ModelReplica& other = replicas_[from];
      if (other.up && other.exists && !other.damaged && other.promised == message.epoch &&
          other.data.size() >= message.length)
        source = &other;
    }
    if (!replica.up) {
      message.status = MakeError(v1::UNREACHABLE, "down");
    } else if (message.life != replica.life) {
      message.status = MakeError(v1::STALE_COMMAND, "of an older registration");
    } else if (replica.exists && replica.promised > message.epoch) {
      message.status = MakeError(v1::STALE_EPOCH, "promised");
    } else if (replica.opened == message.epoch) {
      message.status = MakeError(v1::STALE_EPOCH, "open");
    } else if ((!replica.exists || replica.damaged || replica.data.size() < message.length) &&
               source == nullptr) {
      message.status = MakeError(v1::UNREACHABLE, "no source");
    } else {
      if (replica.damaged) --damaged_;
      replica.exists = true;
      if (replica.damaged || replica.data.size() < message.length)
        replica.data = source->data.substr(0, message.length);
      replica.data.resize(message.length);
      replica.damaged = false;
      replica.promised = message.epoch;
      if (!calm_ && Chance(6)) message.status = MakeError(v1::TIMED_OUT, "answer lost");
    }
    wire_.push_back(std::move(message));
  }

  void Open(Message message) {
    ModelReplica& replica = replicas_[message.server];
    message.kind = Message::kOpenAnswer;
    if (!replica.up) {
      message.status = MakeError(v1::UNREACHABLE, "down");
    } else if (message.life != replica.life) {
      message.status = MakeError(v1::STALE_COMMAND, "of an older registration");
    } else if (replica.damaged || replica.promised != message.epoch) {
      message.status = MakeError(v1::STALE_EPOCH, "promised, or damaged");
    } else if (replica.opened != message.epoch && replica.data.size() != message.length) {
      message.status = MakeError(v1::INVALID, "it stands elsewhere");
    } else if (replica.opened != message.epoch && message.primary) {
      replica.opened = message.epoch;
      if (message.primary == Id(message.server)) {
        replica.primary_of = message.epoch;
        EXPECT_TRUE(primaries_.insert({message.epoch, message.server}).second);
        EXPECT_EQ(primaries_.count({message.epoch, message.server}), 1u);
        // All stand there: that is what it starts from.
        for (size_t i = 0; i < members_; ++i) {
          replicas_[i].voted_epoch = message.epoch;
          replicas_[i].voted = message.length;
        }
      }
    }
    if (!calm_ && Chance(8)) message.status = MakeError(v1::TIMED_OUT, "answer lost");
    wire_.push_back(std::move(message));
  }

  std::mt19937_64 random_;
  size_t members_ = 3;
  std::vector<ModelReplica> replicas_;  // members first, then spare servers
  size_t damaged_ = 0;
  Duration now_ = std::chrono::seconds(1);
  int number_ = 0;  // of recoveries
  Epoch logged_{1};
  bool calm_ = false, recovering_ = false, sealed_ = false;
  int reopened_ = 0, parked_ = 0;
  std::string acknowledged_;
  std::map<Epoch, uint64_t> agreed_;
  std::set<std::pair<Epoch, size_t>> primaries_;
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
  int reopened = 0, parked = 0;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE(testing::Message() << "APPENDFS_SEED=" << seed);
    Weather weather(seed);
    weather.Run();
    if (testing::Test::HasFailure()) return;
    reopened += weather.reopened();
    parked += weather.parked();
  }
  std::cout << last - first + 1 << " seeds, " << reopened << " reopened, " << parked << " parked\n";
  if (first == last) return;
  EXPECT_GT(reopened, 0);
  EXPECT_GT(parked, 0);
}

}  // namespace
}  // namespace appendfs
