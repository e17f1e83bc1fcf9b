#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "master/chunks/recovery.h"

namespace appendfs {

inline constexpr ServerId kA{1}, kB{2}, kC{3}, kD{4};

// Steps through a recovery by hand. Everything it asks for lands in lists.
class RecoveryTest : public testing::Test {
 protected:
  // Of a chunk that is to be sealed, unless `longest_to_keep` says otherwise.
  void Start(std::vector<ChunkRecovery::MemberInit> members, uint64_t longest_to_keep = 0,
             bool wanted = true) {
    recovery_ = std::make_unique<ChunkRecovery>(
        ChunkRecovery::Setup{members, kA, Epoch(1), longest_to_keep, wanted}, RecoveryOptions{});
    recovery_->Start(now_);
    Take();
  }
  void StartThree() { Start({{kA, true}, {kB, true}, {kC, true}}); }
  void StartToKeep(bool wanted) { Start({{kA, true}, {kB, true}, {kC, true}}, 1000, wanted); }
  void Begun() {
    recovery_->OnBeginLogged(absl::OkStatus(), now_);
    Take();
  }
  static FenceAnswer Long(uint64_t length) {
    FenceAnswer answer;
    answer.durable_length = length;
    answer.crc32c = static_cast<uint32_t>(length * 31 + 7);
    answer.memory.add_clients()->set_client_id(length);
    return answer;
  }
  void Answer(ServerId server, absl::StatusOr<FenceAnswer> answer) {
    recovery_->OnFenceAnswer(server, recovery_->epoch(), std::move(answer), now_);
    Take();
  }
  void Conformed(ServerId server, const absl::Status& status = absl::OkStatus()) {
    recovery_->OnConformAnswer(server, recovery_->epoch(), status, now_);
    Take();
  }
  void ReopenLogged(ServerId primary) {
    recovery_->OnReopenLogged(absl::OkStatus(), primary, now_);
    Take();
  }
  void Opened(ServerId server, const absl::Status& status = absl::OkStatus()) {
    recovery_->OnOpenAnswer(server, Epoch(2), status, now_);
    if (!recovery_->ended()) recovery_->OnOpenAnswer(server, recovery_->epoch(), status, now_);
    Take();
  }
  void Down(ServerId server) {
    recovery_->OnServerDown(server, now_);
    Take();
  }
  void Up(ServerId server) {
    recovery_->OnServerUp(server, /*restarted=*/false, now_);
    Take();
  }
  void Pass(Duration duration) {
    now_ += duration;
    recovery_->OnTick(now_);
    Take();
  }
  void Take() {
    for (ChunkRecovery::Action& action : recovery_->TakeActions()) {
      if (auto* begin = std::get_if<ChunkRecovery::LogBegin>(&action)) begins_.push_back(*begin);
      if (auto* fence = std::get_if<ChunkRecovery::SendFence>(&action)) fences_.push_back(*fence);
      if (auto* copy = std::get_if<ChunkRecovery::SendConform>(&action)) copies_.push_back(*copy);
      if (auto* pick = std::get_if<ChunkRecovery::PickTarget>(&action)) picks_.push_back(*pick);
      if (auto* seal = std::get_if<ChunkRecovery::LogSeal>(&action)) seals_.push_back(*seal);
      if (auto* log = std::get_if<ChunkRecovery::LogReopen>(&action)) reopens_.push_back(*log);
      if (auto* log = std::get_if<ChunkRecovery::LogPark>(&action)) parks_.push_back(*log);
      if (auto* open = std::get_if<ChunkRecovery::SendOpen>(&action)) opens_.push_back(*open);
      if (std::holds_alternative<ChunkRecovery::Reopened>(action)) reopened_ = true;
      if (std::holds_alternative<ChunkRecovery::Parked>(action)) parked_ = true;
      if (auto* end = std::get_if<ChunkRecovery::Sealed>(&action)) sealed_ = *end;
      if (auto* end = std::get_if<ChunkRecovery::Abandoned>(&action)) abandoned_ = end->why;
    }
  }

  Duration now_ = std::chrono::seconds(100);
  std::unique_ptr<ChunkRecovery> recovery_;
  std::vector<ChunkRecovery::LogBegin> begins_;
  std::vector<ChunkRecovery::SendFence> fences_;
  std::vector<ChunkRecovery::SendConform> copies_;
  std::vector<ChunkRecovery::PickTarget> picks_;
  std::vector<ChunkRecovery::LogSeal> seals_;
  std::vector<ChunkRecovery::LogReopen> reopens_;
  std::vector<ChunkRecovery::LogPark> parks_;
  std::vector<ChunkRecovery::SendOpen> opens_;
  bool reopened_ = false, parked_ = false;
  std::optional<ChunkRecovery::Sealed> sealed_;
  absl::Status abandoned_;
};

inline const absl::Status kUnreachable = MakeError(v1::UNREACHABLE, "gone");
inline const absl::Status kDamaged = MakeError(v1::REPLICA_DAMAGED, "bad block");
inline const absl::Status kUnknown = MakeError(v1::UNKNOWN_CHUNK, "never seen");

}  // namespace appendfs
