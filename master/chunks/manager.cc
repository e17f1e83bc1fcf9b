#include "master/chunks/manager.h"

#include <glog/logging.h>

#include "common/str_cat.h"
#include "master/layout.h"
#include "master/namespace/reads.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
// A server that never returns must not keep repair from the others for ever.
constexpr int kSafeModeWithoutAll = 10;  // times options.safe_mode

}  // namespace

Manager::Manager(const ChunkManagerOptions& options, MetaLog& log, const SessionTable& sessions,
                 const Clock& clock, uint64_t incarnation, std::string cluster_uuid, Seams seams)
    : options_(options),
      incarnation_(incarnation),
      cluster_uuid_(std::move(cluster_uuid)),
      started_(clock.Monotonic()),
      log_(log),
      sessions_(sessions),
      clock_(clock),
      client_(std::move(seams.client)),
      executor_(std::move(seams.executor)),
      sender_(std::make_unique<CommandSender>(*client_, cluster_uuid_, incarnation_)),
      servers_(ServerTableOptions{options.dead_after, options.safe_mode}, started_),
      tails_(*this),
      repair_(chunks_, servers_, RepairOptions{}) {}

Manager::~Manager() {
  // Nothing is sent any more; then what is under way ends; then the thread.
  sender_->Stop();
  client_.reset();
  executor_.reset();
}

absl::StatusOr<std::unique_ptr<Manager>> Manager::Create(const ChunkManagerOptions& options,
                                                         MetaLog& log, const SessionTable& sessions,
                                                         const Clock& clock, uint64_t incarnation,
                                                         std::string cluster_uuid, Seams seams) {
  std::unique_ptr<Manager> manager(new Manager(options, log, sessions, clock, incarnation,
                                               std::move(cluster_uuid), std::move(seams)));
  APPENDFS_RETURN_IF_ERROR(manager->Load());
  manager->ScheduleTick();
  return manager;
}

absl::Status Manager::Load() {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<KeyValueReader> tables = log_.Snapshot();
  const Duration now = Now();
  absl::Status damaged;
  APPENDFS_RETURN_IF_ERROR(
      tables->Scan(Table::kServers, "", "", [&](std::string_view key, std::string_view value) {
        mutex_.AssertHeld();
        v1::ServerRecord record;
        if (auto id = layout::DecodeIdKey<ServerId>(key);
            id && record.ParseFromString(std::string(value)))
          servers_.Load(*id, record.address());
        else
          damaged = MakeError(v1::INPUT_OUTPUT, "the table of chunkservers is damaged");
        return damaged.ok();
      }));
  APPENDFS_RETURN_IF_ERROR(damaged);
  APPENDFS_RETURN_IF_ERROR(ScanChunks(*tables, [&](const v1::ChunkRecord& record) {
    mutex_.AssertHeld();
    const v1::Chunk& chunk = record.chunk();
    if (chunk.state() == v1::SEALED || chunk.state() == v1::PARKED) {
      chunks_.AddSealed(chunk);
      return true;
    }
    OpenChunk& open = chunks_.AddOpen(chunk, now);
    for (const OpenChunk::Member& member : open.members)
      servers_.AddOpenReplica(member.server, member.server == open.primary(), 1);
    return true;
  }));
  APPENDFS_RETURN_IF_ERROR(
      tables->Scan(Table::kGarbage, "", "", [&](std::string_view key, std::string_view value) {
        mutex_.AssertHeld();
        v1::GarbageRecord record;
        auto handle = layout::DecodeIdKey<ChunkHandle>(key);
        if (!handle || !record.ParseFromString(std::string(value))) {
          damaged = MakeError(v1::INPUT_OUTPUT, "the table of garbage is damaged");
          return false;
        }
        std::vector<ServerId> holders;
        for (uint64_t server : record.servers()) holders.push_back(ServerId(server));
        garbage_.Add(*handle, holders, true);
        return true;
      }));
  APPENDFS_RETURN_IF_ERROR(damaged);
  APPENDFS_ASSIGN_OR_RETURN(reserved_bound_, GetNumber(*tables, layout::kNextHandleKey));

  std::vector<ChunkHandle> unfinished;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    if (chunk.record.state() == v1::RECOVERING) unfinished.push_back(chunk.handle());
  });
  for (ChunkHandle handle : unfinished)
    Recover(*chunks_.FindOpen(handle), "its recovery was under way when the master stopped",
            Use::kNone);
  LOG(INFO) << "chunks loaded: open=" << chunks_.open_count() << " recovering=" << unfinished.size()
            << " sealed=" << chunks_.sealed_count() - chunks_.parked_count()
            << " parked=" << chunks_.parked_count() << " garbage=" << garbage_.count()
            << " servers=" << servers_.all().size();
  return absl::OkStatus();
}

void Manager::ScheduleTick() {
  executor_->PostAfter(kTick, [this] { Tick(); });
}

void Manager::Tick() {
  {
    absl::MutexLock lock(&mutex_);
    const Duration now = Now();
    for (ServerId server : servers_.Tick(now)) ServerIsGone(server, now);
    std::vector<ChunkHandle> recovering;
    chunks_.ForEachOpen([&](OpenChunk& chunk) {
      if (!chunk.recovery) return;
      chunk.recovery->OnTick(now);
      recovering.push_back(chunk.handle());
    });
    for (ChunkHandle handle : recovering) Drive(handle);
    if (safe_mode_ && !SafeMode(now)) {
      safe_mode_ = false;
      LOG(INFO) << "safe mode ends: " << servers_.alive_count() << " of " << servers_.all().size()
                << " chunkservers have reported";
      for (auto [handle, server] : std::exchange(unknown_, {})) JudgeUnknown(handle, server, now);
      chunks_.ForEachSealed([&](ChunkHandle handle, SealedChunk&) {
        mutex_.AssertHeld();
        repair_.Look(handle, now);
      });
    }
    RollPairs(now);
    tails_.OnTick(now);
    Repair(now);
    CollectGarbage(now);
  }
  ScheduleTick();
}

bool Manager::SafeMode(Duration now) const {
  Duration since_start = now - started_;
  if (since_start < options_.safe_mode) return true;
  if (!servers_.LiveReported()) return true;
  return !servers_.AllReported() && since_start < kSafeModeWithoutAll * options_.safe_mode;
}

void Manager::Propose(v1::MetaOp op, Logged done) {
  op.set_now_ns(clock_.WallNanos());
  executor_->Post([this, op = std::move(op), done = std::move(done)]() mutable {
    log_.Propose(std::move(op),
                 [this, done = std::move(done)](absl::StatusOr<v1::MetaResult> result) mutable {
                   if (result.ok() && result->has_error()) result = FromProto(result->error());
                   absl::MutexLock lock(&mutex_);
                   std::move(done)(std::move(result));
                 });
  });
}

CommandTarget Manager::Target(const ServerState& server) const {
  return {server.id, server.address, server.registration};
}

v1::ServerAddress Manager::Address(ServerId server) const {
  v1::ServerAddress address;
  address.set_server_id(server.value());
  if (const ServerState* state = servers_.Find(server)) address.set_address(state->address);
  return address;
}

}  // namespace appendfs
