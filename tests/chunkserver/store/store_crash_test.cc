// Random changes over several chunks, power failures and kills at random
// operations (in the middle of groups, checkpoints, recycling, imports, removals and starts),
// and a model that says what must be there afterwards. Prints its seed when it
// fails; APPENDFS_SEED=n replays one, APPENDFS_SEEDS=n runs as many.

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "chunkserver/store/import.h"
#include "chunkserver/store/store_core.h"
#include "common/str_cat.h"
#include "tests/chunkserver/store/store_model.h"
#include "tests/chunkserver/store/store_test_util.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs {
namespace {

class CrashRun {
 public:
  explicit CrashRun(uint64_t seed) : random_(seed) {
    options_.segment_bytes = 128 << 10;
    options_.max_journal_bytes = 1 << 20;
    options_.max_group_bytes = 64 << 10;
    options_.reserved_bytes = 0;
    options_.max_unapplied_bytes = 96 << 10;
    options_.in_place_bytes = std::array{100, 10000, 1 << 20}[random_() % 3];
    (void)fs_.MakeDirectory("/s");
    (void)fs_.SyncDirectory("/");
  }

  // Empty: all went well.
  std::string Run(int steps) {
    std::string problem = Start();
    for (int i = 0; i < steps && problem.empty(); ++i) {
      if (!armed_ && Chance(12)) {
        fs_.FailPowerAfter(1 + random_() % (Chance(3) ? 400 : 25));
        armed_ = true;
      }
      problem = Step();
      if (problem.empty() && fs_.power_is_off()) problem = CrashAndStart();
      if (!problem.empty()) problem = StrCat("step ", i, ": ", problem);
    }
    return problem;
  }
  int crashes() const { return crashes_; }

 private:
  bool Chance(uint64_t one_in) { return random_() % one_in == 0; }
  ChunkHandle AnyHandle() { return ChunkHandle(1 + random_() % 5); }

  std::string Start() {
    for (;;) {
      auto core = StoreCore::Open(fs_, clock_, "/s/dir", options_);
      if (core.ok()) {
        core_ = *std::move(core);
        return "";
      }
      if (!fs_.power_is_off()) return StrCat("open: ", core.status().ToString().c_str());
      Crash();
    }
  }

  void Crash() {
    core_ = nullptr;
    if (Chance(3))
      fs_.Kill();  // what the start finds must hold from then on
    else
      fs_.Crash(random_());
    ++crashes_;
    armed_ = false;
    if (Chance(3)) {  // and once more while it starts
      fs_.FailPowerAfter(1 + random_() % 20);
      armed_ = true;
    }
  }

  std::string CrashAndStart() {
    Crash();
    if (std::string problem = Start(); !problem.empty()) return problem;
    std::string problem = CheckAgainst(model_);
    if (!problem.empty() && after_group_) {
      std::string other = CheckAgainst(*after_group_);
      if (!other.empty() && !fs_.power_is_off())
        return StrCat("neither as before the group (", problem, ") nor as after it (", other, ")");
      model_ = *after_group_;
      problem = "";
    }
    if (fs_.power_is_off()) return CrashAndStart();
    after_group_.reset();
    if (problem.empty()) model_.TakeCommitted(States());
    return problem;
  }

  std::map<ChunkHandle, ReplicaState> States() {
    std::map<ChunkHandle, ReplicaState> states;
    for (const ReplicaState& state : core_->List(ChunkHandle(), 100))
      states[state.identity.handle] = *core_->State(state.identity.handle);
    return states;
  }

  std::string CheckAgainst(const StoreModel& model) {
    auto states = States();
    std::map<ChunkHandle, std::string> bytes;
    for (const auto& [handle, state] : states) {
      if (state.damaged) continue;
      auto read = core_->Read(handle, 0, 1 << 30, /*committed_only=*/false);
      if (!read.ok()) return StrCat("chunk ", handle, ": ", read.status().ToString().c_str());
      if (read->crc32c != Crc32c(read->payload.view())) return "a read's checksum is wrong";
      bytes[handle] = std::string(read->payload.view());
      auto prefix = core_->PrefixCrc32c(handle, read->payload.size());
      if (!prefix.ok() || *prefix != read->crc32c) return "the whole checksum is wrong";
    }
    return model.Compare(states, bytes);
  }

  std::string Step() {
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5: return RunGroup();
      case 6:
      case 7: return Commit();
      case 8: return Outcome(core_->Apply(Chance(2) ? 1 : 5000));
      case 9: return Outcome(core_->Checkpoint());
      case 10: return Outcome(core_->RemoveDeleted());
      case 11: return Outcome(core_->MarkIdle());
      case 12: return Import();
      case 13: return ReadSome();
      case 14: return Chance(4) ? CheckAgainst(model_) : "";
      default: return Chance(4) ? Close() : "";
    }
  }

  // Errors are in order only when the power went off.
  std::string Outcome(const absl::Status& status) {
    return status.ok() || fs_.power_is_off() ? "" : status.ToString();
  }

  std::string Close() {
    if (Chance(2)) {
      if (std::string problem = Outcome(core_->Checkpoint()); !problem.empty()) return problem;
      if (fs_.power_is_off()) return "";
    }
    core_ = nullptr;  // the process is killed; what it wrote stays in the system's memory
    if (std::string problem = Start(); !problem.empty()) return problem;
    std::string problem = CheckAgainst(model_);
    if (problem.empty() && !fs_.power_is_off()) model_.TakeCommitted(States());
    return fs_.power_is_off() ? "" : problem;
  }

  std::string Commit() {
    ChunkHandle handle = AnyHandle();
    const StoreModel::Replica* replica = model_.Find(handle);
    if (!replica) return "";
    uint64_t length = random_() % (replica->bytes.size() + 1);
    if (Chance(2)) length = replica->bytes.size();
    core_->SetCommitted(handle, length);
    model_.SetCommitted(handle, length);
    return "";
  }

  StoreChange AnyChange(const StoreModel& now) {
    ChunkHandle handle = AnyHandle();
    const StoreModel::Replica* replica = now.Find(handle);
    if (!replica || Chance(40)) {
      CreateReplica create = MakeCreate(handle, Epoch(1 + Chance(3)), 300 << 10);
      if (Chance(2)) {
        auto* client = create.memory.add_clients();
        client->set_client_id(77);
        client->add_outcomes()->set_sequence(5);
      }
      return create;
    }
    if (Chance(60) || (replica->bytes.size() > (250 << 10) && Chance(3)))
      return DeleteReplica{handle};
    if (Chance(12)) return FenceReplica{handle, Epoch(replica->epoch.value() + random_() % 3 - 1)};
    if (Chance(12)) {
      ConformReplica conform;
      conform.handle = handle;
      conform.epoch = Epoch(replica->epoch.value() + random_() % 3 - Chance(8));
      conform.length = Chance(3) ? replica->bytes.size() : random_() % (replica->bytes.size() + 2);
      conform.seal = Chance(4);
      conform.mtime_ns = random_() % 1000;
      conform.memory = ToProto(*replica);
      if (Chance(2)) conform.memory.clear_clients();
      return conform;
    }
    ClientId client(random_() % 4);
    Sequence sequence(++sequence_);
    uint64_t length = Chance(4) ? 1 + random_() % 40000 : 1 + random_() % 300;
    return MakeAppend(handle, replica->bytes.size() + Chance(30), RandomBytes(random_(), length),
                      client, sequence, Epoch(replica->epoch.value() + Chance(30)));
  }

  // Submits changes, and takes one group all the way.
  std::string RunGroup() {
    StoreModel next = model_;
    std::map<uint64_t, bool> expected;
    std::map<uint64_t, StoreChange> changes;
    for (uint64_t n = 1 + random_() % 6; n > 0; --n) {
      StoreChange change = AnyChange(next);
      expected[++token_] = next.Apply(change);
      changes[token_] = change;
      core_->Submit(std::move(change), token_);
    }
    for (int round = 0; core_->HasQueued(); ++round) {
      if (round > 100) return "no group gets through";
      if (core_->WantsSegment()) {
        std::string problem = Outcome(core_->MakeSegment());
        if (!problem.empty() || fs_.power_is_off()) return problem;
      }
      auto group = core_->PrepareGroup();
      if (!group) {
        // It waits for memory, or for a segment.
        std::string problem = Outcome(core_->Apply(1));
        if (problem.empty()) problem = Outcome(core_->Checkpoint());
        if (!problem.empty() || fs_.power_is_off()) return problem;
        continue;
      }
      StoreModel after = model_;
      for (const auto& change : group->changes)
        if (!change.internal) after.Apply(changes.at(change.token));
      absl::Status committed = core_->CommitGroup(*group);
      auto completions = core_->CompleteGroup(std::move(group), committed);
      if (!committed.ok()) {
        if (!fs_.power_is_off()) return committed.ToString();
        after_group_ = after;  // in doubt: all of it, or nothing
        return "";
      }
      if (fs_.power_is_off()) return "";  // nothing of it needed the disk
      model_ = std::move(after);
      for (const StoreCompletion& completion : completions)
        if (completion.status.ok() != expected.at(completion.token))
          return StrCat("change ", changes.at(completion.token).index(), " of chunk ",
                        completion.handle, ": ", completion.status.ToString().c_str());
    }
    return "";
  }

  std::string Import() {
    ChunkHandle handle = AnyHandle();
    if (model_.Find(handle) || !Chance(3)) return "";
    StoreModel::Replica replica;
    replica.identity = {
        .handle = handle, .inode = InodeId(9), .base_offset = 5, .capacity = 1 << 20};
    replica.epoch = Epoch(7);
    replica.bytes = RandomBytes(random_(), random_() % 150000);
    replica.committed = replica.bytes.size();
    replica.sealed = true;
    replica.mtime_ns = 99;
    replica.memory[4].emplace_back(3, 5, 10);
    auto import =
        ReplicaImport::Begin(*core_, replica.identity, replica.epoch,
                             [](absl::AnyInvocable<absl::Status()> task) { return task(); });
    if (!import.ok()) return Outcome(import.status());
    for (size_t at = 0; at < replica.bytes.size();) {
      std::string_view part = std::string_view(replica.bytes).substr(at, 1 + random_() % 70000);
      if (absl::Status status = (*import)->Write(part); !status.ok()) return Outcome(status);
      at += part.size();
    }
    if (Chance(4)) return "";  // given up
    StoreModel after = model_;
    after.Import(replica);
    absl::Status status = (*import)->Finish(replica.bytes.size(), Crc32c(replica.bytes),
                                            replica.mtime_ns, ToProto(replica));
    if (status.ok())
      model_ = after;
    else if (fs_.power_is_off())
      after_group_ = after;
    return Outcome(status);
  }

  std::string ReadSome() {
    ChunkHandle handle = AnyHandle();
    const StoreModel::Replica* replica = model_.Find(handle);
    if (!replica) return "";
    const bool committed_only = Chance(2);
    uint64_t offset = random_() % (replica->bytes.size() + 1);
    auto length = static_cast<uint32_t>(random_() % 100000);
    auto read = core_->Read(handle, offset, length, committed_only);
    if (!read.ok()) return Outcome(read.status());
    const uint64_t end = committed_only
                             ? std::min<uint64_t>(replica->committed, replica->bytes.size())
                             : replica->bytes.size();
    std::string expected =
        offset < end ? replica->bytes.substr(offset, std::min<uint64_t>(length, end - offset)) : "";
    if (read->payload.view() != expected)
      return StrCat("chunk ", handle, ": read of ", length, " at ", offset, " gives other bytes");
    if (read->crc32c != Crc32c(expected)) return "a read's checksum is wrong";
    return "";
  }

  std::mt19937_64 random_;
  SimFileSystem fs_;
  SystemClock clock_;
  StoreOptions options_;
  std::unique_ptr<StoreCore> core_;
  StoreModel model_;
  std::optional<StoreModel> after_group_;  // the group under way at the crash, if it counts
  bool armed_ = false;
  uint64_t token_ = 0, sequence_ = 0;
  int crashes_ = 0;
};

TEST(StoreCrash, RandomChangesAndPowerFailures_NothingAcknowledgedIsLost) {
  const char* one = std::getenv("APPENDFS_SEED");
  const char* many = std::getenv("APPENDFS_SEEDS");
  const uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1;
  const uint64_t count = one ? 1 : many ? std::strtoull(many, nullptr, 10) : 200;
  FLAGS_minloglevel = google::GLOG_FATAL;  // every power failure is an error that is logged
  int crashes = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    CrashRun run(seed);
    std::string problem = run.Run(300);
    ASSERT_EQ(problem, "") << "replay with APPENDFS_SEED=" << seed;
    crashes += run.crashes();
  }
  RecordProperty("crashes", crashes);
  std::cout << count << " seeds, " << crashes << " power failures\n";
}

}  // namespace
}  // namespace appendfs
