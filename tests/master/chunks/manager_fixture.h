#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "common/str_cat.h"
#include "master/chunks/manager.h"
#include "master/layout.h"
#include "master/memory_tables.h"
#include "master/namespace/format.h"
#include "master/namespace/meta_machine.h"
#include "master/namespace/reads.h"
#include "master/overlay.h"
#include "master/sessions/session_table.h"
#include "tests/master/chunks/fake_fleet.h"
#include "tests/master/chunks/simulated_time.h"

namespace appendfs {

// A log on simulated time over tables in memory: the real rules, no thread.
class SimulatedMetaLog final : public MetaLog {
 public:
  SimulatedMetaLog(SimulatedTime& time, DurableTables& tables) : time_(time), tables_(tables) {}
  ~SimulatedMetaLog() override { *alive_ = false; }

  void Propose(v1::MetaOp op, Done done) override {
    time_.After(kSync,
                [this, alive = alive_, op = std::move(op), done = std::move(done)]() mutable {
                  if (*alive) std::move(done)(Apply(op));
                });
  }
  std::unique_ptr<KeyValueReader> Snapshot() const override { return tables_.Snapshot(); }

  absl::StatusOr<v1::MetaResult> Apply(const v1::MetaOp& op) {
    Overlay changes(&tables_);
    absl::StatusOr<v1::MetaResult> result = machine_.Apply(op, changes);
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(tables_.Commit(changes).ok());
    if (op.has_begin_recovery()) ++recoveries;
    return result;
  }

  int recoveries = 0;

 private:
  static constexpr Duration kSync = std::chrono::microseconds(500);
  SimulatedTime& time_;
  DurableTables& tables_;
  MetaMachine machine_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class FakeSessions final : public SessionTable {
 public:
  bool IsLive(ClientId client) const override { return !ended.contains(client); }
  size_t count() const override { return 0; }
  std::set<ClientId> ended;
};

// A master's chunk half with a fleet of fake servers, on simulated time.
class ManagerTest : public testing::Test {
 protected:
  ManagerTest() : tables_(MakeMemoryTables()), fleet_(time_) {
    Overlay changes(tables_.get());
    EXPECT_TRUE(FormatIfEmpty(changes, 1).ok());
    EXPECT_TRUE(tables_->Commit(changes).ok());
    v1::MetaOp op;
    op.mutable_open_session();
    EXPECT_EQ(SimulatedMetaLog(time_, *tables_).Apply(op)->id(), 1u);
  }

  // With `servers` servers, registered, and safe mode over.
  void StartCluster(size_t servers) {
    while (fleet_.size() < servers) fleet_.Add();
    StartMaster();
    time_.RunFor(std::chrono::seconds(4));
  }
  void StartMaster() {
    log_ = std::make_unique<SimulatedMetaLog>(time_, *tables_);
    Manager::Seams seams{fleet_.MakeClient(), std::make_unique<SimulatedExecutor>(time_)};
    auto manager = Manager::Create(options_, *log_, sessions_, time_, ++incarnation_, "test-uuid",
                                   std::move(seams));
    ASSERT_TRUE(manager.ok()) << manager.status();
    manager_ = *std::move(manager);
    fleet_.SetMaster(manager_.get());
  }
  void StopMaster() {
    fleet_.SetMaster(nullptr);
    log_.reset();
    manager_.reset();
  }

  void Name(v1::MutationId& mutation) {
    mutation.set_client_id(1);
    mutation.set_sequence(++mutations_);
  }
  InodeId MakeFile(const std::string& name) {
    v1::MetaOp op;
    op.set_now_ns(time_.WallNanos());
    v1::MakeNodeRequest& make = *op.mutable_make_node();
    Name(*make.mutable_mutation());
    make.set_parent(kRootInode.value());
    make.set_name(name);
    make.set_type(v1::REGULAR);
    make.set_mode(0644);
    auto result = log_->Apply(op);
    EXPECT_TRUE(result.ok() && !result->has_error()) << result->error().message();
    return InodeId(result->make_node().entry().attributes().inode());
  }
  void RemoveFile(const std::string& name) {
    v1::MetaOp op;
    op.set_now_ns(time_.WallNanos());
    Name(*op.mutable_unlink()->mutable_mutation());
    op.mutable_unlink()->set_parent(kRootInode.value());
    op.mutable_unlink()->set_name(name);
    auto result = log_->Apply(op);
    ASSERT_TRUE(result.ok() && !result->has_error()) << result->error().message();
    std::vector<ChunkHandle> garbage;
    for (uint64_t handle : result->garbage()) garbage.push_back(ChunkHandle(handle));
    manager_->AddGarbage(garbage);
  }

  struct Pending {
    std::optional<absl::StatusOr<v1::Chunk>> answer;
    Duration answered{};
  };
  std::shared_ptr<Pending> AskTail(InodeId inode, const v1::Chunk* failed = nullptr,
                                   v1::Reason reason = v1::UNREACHABLE,
                                   Duration patience = std::chrono::seconds(10)) {
    v1::OpenTailRequest request;
    request.set_client_id(1);
    request.set_inode(inode.value());
    if (failed) {
      request.set_failed_handle(failed->handle());
      request.set_failed_epoch(failed->epoch());
      request.set_failed_reason(reason);
    }
    auto pending = std::make_shared<Pending>();
    manager_->OpenTail(request, time_.Monotonic() + patience,
                       [this, pending](absl::StatusOr<v1::Chunk> chunk) {
                         EXPECT_FALSE(pending->answer.has_value());
                         pending->answer = std::move(chunk);
                         pending->answered = time_.Monotonic();
                       });
    return pending;
  }
  absl::StatusOr<v1::Chunk> OpenTail(InodeId inode, const v1::Chunk* failed = nullptr,
                                     v1::Reason reason = v1::UNREACHABLE,
                                     Duration patience = std::chrono::seconds(10)) {
    auto pending = AskTail(inode, failed, reason, patience);
    if (!time_.RunUntil([&] { return pending->answer.has_value(); },
                        patience + std::chrono::seconds(1)))
      return absl::DeadlineExceededError("OpenTail was never answered");
    return *pending->answer;
  }

  absl::StatusOr<v1::ForceSealResponse> Force(uint64_t handle, bool lose_data) {
    v1::ForceSealRequest request;
    request.set_handle(handle);
    request.set_lose_data(lose_data);
    auto answer = std::make_shared<std::optional<absl::StatusOr<v1::ForceSealResponse>>>();
    manager_->ForceSeal(request, "test",
                        [answer](auto response) { *answer = std::move(response); });
    if (!time_.RunUntil([&] { return answer->has_value(); }, std::chrono::seconds(5)))
      return absl::DeadlineExceededError("ForceSeal was never answered");
    return **answer;
  }

  FakeServer& ServerOf(const v1::ServerAddress& address) {
    return *fleet_.ById(address.server_id());
  }
  size_t NumberOf(uint64_t server_id) {
    for (size_t i = 0; i < fleet_.size(); ++i)
      if (fleet_[i].id == server_id) return i;
    ADD_FAILURE() << "no server " << server_id;
    return 0;
  }
  size_t PrimaryOf(const v1::Chunk& chunk) { return NumberOf(chunk.primary_id()); }
  // Appends to the named members' replicas, as the protocol would have.
  void Write(const v1::Chunk& chunk, const std::string& bytes, const std::vector<size_t>& numbers) {
    for (size_t number : numbers) {
      FakeServer::Replica& replica = fleet_[number].replicas.at(chunk.handle());
      replica.data += bytes;
      replica.mtime_ns = time_.WallNanos();
    }
  }
  void WriteAll(const v1::Chunk& chunk, const std::string& bytes) {
    for (const v1::ServerAddress& member : chunk.replicas())
      Write(chunk, bytes, {NumberOf(member.server_id())});
  }
  v1::FilePlan Plan(InodeId inode) {
    auto plan = GetPlan(*tables_->Snapshot(), inode, 0);
    EXPECT_TRUE(plan.ok()) << plan.status();
    for (v1::Chunk& chunk : *plan->mutable_chunks()) manager_->FillLocations(chunk);
    return *plan;
  }
  // How many live servers hold the chunk sealed with these bytes.
  size_t SealedCopies(uint64_t handle, const std::string& bytes) {
    size_t count = 0;
    for (size_t i = 0; i < fleet_.size(); ++i) {
      auto it = fleet_[i].replicas.find(handle);
      count += fleet_[i].health == FakeServer::Health::kUp && it != fleet_[i].replicas.end() &&
               it->second.sealed && !it->second.damaged && it->second.data == bytes;
    }
    return count;
  }
  v1::GetStatusResponse Status() {
    v1::GetStatusResponse status;
    manager_->FillStatus(status);
    return status;
  }

  SimulatedTime time_;
  std::unique_ptr<DurableTables> tables_;
  FakeSessions sessions_;
  FakeFleet fleet_;
  ChunkManagerOptions options_;
  uint64_t incarnation_ = 0, mutations_ = 0;
  std::unique_ptr<SimulatedMetaLog> log_;
  std::unique_ptr<Manager> manager_;
};

}  // namespace appendfs
