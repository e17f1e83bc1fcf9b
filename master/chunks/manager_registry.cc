#include <glog/logging.h>

#include "common/planted.h"
#include "common/str_cat.h"
#include "master/chunks/manager.h"

namespace appendfs {

absl::Status Manager::Admit(const v1::RegisterRequest& request) const {
  if (request.address().empty()) return MakeError(v1::INVALID, "registration without an address");
  if (!request.cluster_uuid().empty() && request.cluster_uuid() != cluster_uuid_)
    return MakeError(
        v1::WRONG_CLUSTER,
        StrCat("chunkserver ", request.address(), ": its data directory belongs to cluster ",
               request.cluster_uuid(), ", this master serves cluster ", cluster_uuid_,
               "; start it with the right --master, or with another --data-dir"));
  if (request.highest_handle() >= reserved_bound_ && request.highest_handle() != 0)
    return MakeError(
        v1::INVALID,
        StrCat("chunkserver ", request.address(), ": it has held chunk ", request.highest_handle(),
               ", but this master has given out none above ", reserved_bound_ - 1,
               ": the master's data directory is older than the cluster; restore a "
               "newer one"));
  if (request.server_id() != 0 && !servers_.Find(ServerId(request.server_id())))
    return MakeError(v1::INVALID,
                     StrCat("chunkserver ", request.address(),
                            ": this master has never given out server id ", request.server_id(),
                            ": the master's data directory is older than the cluster; restore a "
                            "newer one"));
  return absl::OkStatus();
}

void Manager::Register(const v1::RegisterRequest& request, RegisterDone done) {
  absl::MutexLock lock(&mutex_);
  if (absl::Status status = Admit(request); !status.ok()) {
    LOG(ERROR) << "registration refused: " << status.message();
    executor_->Post([done = std::move(done), status]() mutable { std::move(done)(status); });
    return;
  }
  ServerId id(request.server_id());
  const ServerState* known = servers_.Find(id);
  if (known && known->address == request.address()) {
    executor_->Post([done = std::move(done), response = Admitted(id, request)]() mutable {
      std::move(done)(std::move(response));
    });
    return;
  }
  v1::MetaOp op;
  op.mutable_add_server()->set_server_id(request.server_id());
  op.mutable_add_server()->set_address(request.address());
  Propose(std::move(op),
          [this, request, done = std::move(done)](absl::StatusOr<v1::MetaResult> result) mutable {
            mutex_.AssertHeld();
            absl::StatusOr<v1::RegisterResponse> response = v1::RegisterResponse();
            if (result.ok()) {
              response = Admitted(ServerId(result->id()), request);
            } else {
              response = result.status();
            }
            executor_->Post([done = std::move(done), response = std::move(response)]() mutable {
              std::move(done)(std::move(response));
            });
          });
}

v1::RegisterResponse Manager::Admitted(ServerId id, const v1::RegisterRequest& request) {
  const Duration now = Now();
  ServerTable::Registration registration = servers_.Register(id, request, now);
  LOG(INFO) << "registered: server=" << id << " address=" << request.address()
            << " registration=" << registration.number
            << (registration.restarted ? " (restarted)" : "");
  executor_->Post([this, id, address = request.address(), restarted = registration.restarted] {
    client_->ConnectAnew(address);
    if (restarted) sender_->Restarted(id);
  });
  // What it holds is to be confirmed by its report.
  ServerSlot slot = servers_.SlotOf(id);
  chunks_.ForEachSealed([&](ChunkHandle, SealedChunk& chunk) { chunk.Unconfirm(slot); });
  std::vector<ChunkHandle> leaderless;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    for (OpenChunk::Member& member : chunk.members)
      if (member.server == id) member.confirmed = false;
    if (registration.restarted && chunk.primary() == id && !PLANTED(kResumePrimary))
      leaderless.push_back(chunk.handle());
  });
  for (ChunkHandle handle : leaderless)
    Recover(*chunks_.FindOpen(handle), "its primary has restarted", Use::kNone);
  TellRecoveries(id, true, registration.restarted);
  repair_.LookAtServer(id, now);

  v1::RegisterResponse response;
  response.set_cluster_uuid(cluster_uuid_);
  response.set_server_id(id.value());
  response.set_incarnation(incarnation_);
  response.set_registration(registration.number);
  response.set_heartbeat_interval_ms(static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(options_.heartbeat_interval).count()));
  return response;
}

absl::Status Manager::ReportChunks(const v1::ReportChunksRequest& request) {
  absl::MutexLock lock(&mutex_);
  ServerId id(request.server_id());
  if (!servers_.IsCurrent(id, request.registration()))
    return MakeError(v1::STALE_COMMAND,
                     StrCat("server ", id, ": registration ", request.registration(),
                            " is not the present one; register again"));
  const Duration now = Now();
  const ServerState server = *servers_.Find(id);
  for (const v1::ReplicaReport& report : request.replicas()) TakeReport(server, report, now);
  if (request.last()) FinishReport(server, now);
  return absl::OkStatus();
}

void Manager::TakeReport(const ServerState& server, const v1::ReplicaReport& report, Duration now) {
  ChunkHandle handle(report.handle());
  if (OpenChunk* open = chunks_.FindOpen(handle)) return TakeOpenReport(*open, server.id, report);
  SealedChunk* sealed = chunks_.FindSealed(handle);
  if (!sealed) return JudgeUnknown(handle, server.id, now);
  ReplicaHealth health = JudgeReport(*sealed, report);
  // What a recovery has found out is more than an unsealed replica can say.
  const SealedChunk::Replica* before = sealed->Find(server.slot);
  if (health == ReplicaHealth::kStray && before && before->health == ReplicaHealth::kHolder &&
      report.length() == sealed->length())
    health = ReplicaHealth::kHolder;
  if (repair_.MayBeDeleted(handle, server.id)) health = ReplicaHealth::kStray;
  sealed->Set(server.slot, health);
  repair_.Look(handle, now);
}

void Manager::TakeOpenReport(OpenChunk& chunk, ServerId server, const v1::ReplicaReport& report) {
  bool member_found = false;
  for (OpenChunk::Member& member : chunk.members) {
    if (member.server != server) continue;
    member.confirmed = true;
    member_found = true;
  }
  if (!member_found || chunk.recovery) return;
  if (report.damaged())
    return Recover(chunk, StrCat("server ", server, " reports it damaged"), Use::kAppended);
  if (report.sealed() || report.epoch() != chunk.record.epoch())
    return Recover(chunk, StrCat("server ", server, " holds it in epoch ", report.epoch()),
                   Use::kNone);
  if (PLANTED(kResumePrimary) && chunk.primary() == server && !report.primary()) {
    ChunkRecovery::SendOpen again{server, chunk.epoch(), server, report.length(), 0};
    return Act(chunk, again);
  }
  if (chunk.primary() == server && !report.primary())
    return Recover(chunk, StrCat("server ", server, " is primary no more"), Use::kNone);
  if (report.degraded()) return Recover(chunk, "a replica does not keep up", Use::kAppended);
}

void Manager::FinishReport(const ServerState& server, Duration now) {
  servers_.SetReported(server.id);
  repair_.OnReported(server.id);
  std::vector<ChunkHandle> lost;
  chunks_.ForEachOpen([&](OpenChunk& chunk) {
    for (const OpenChunk::Member& member : chunk.members)
      if (member.server == server.id && !member.confirmed) lost.push_back(chunk.handle());
  });
  for (ChunkHandle handle : lost)
    Recover(*chunks_.FindOpen(handle), StrCat("server ", server.id, " does not have it"),
            Use::kNone);
  size_t missing = 0;
  chunks_.ForEachSealed([&](ChunkHandle handle, SealedChunk& chunk) {
    mutex_.AssertHeld();
    const SealedChunk::Replica* replica = chunk.Find(server.slot);
    if (!replica || replica->confirmed) return;
    chunk.Drop(server.slot);
    repair_.Look(handle, now);
    ++missing;
  });
  LOG(INFO) << "report complete: server=" << server.id << " missing=" << lost.size() + missing;
}

v1::HeartbeatResponse Manager::Heartbeat(const v1::HeartbeatRequest& request) {
  absl::MutexLock lock(&mutex_);
  v1::HeartbeatResponse response;
  const Duration now = Now();
  if (!servers_.Heartbeat(request, now)) {
    response.set_register_again(true);
    return response;
  }
  for (const v1::ServerEvent& event : request.events())
    TakeEvent(ServerId(request.server_id()), event, now);
  return response;
}

void Manager::TakeEvent(ServerId from, const v1::ServerEvent& event, Duration now) {
  ChunkHandle handle(event.handle());
  OpenChunk* open = chunks_.FindOpen(handle);
  bool present = open && open->epoch() == Epoch(event.epoch());
  switch (event.kind()) {
    case v1::ServerEvent::REPLICA_LAGGING:
      if (!present || open->recovery) return;
      servers_.Suspect(ServerId(event.about_server()), now, false);
      // Not with one that falls behind again and again.
      return Recover(
          *open, StrCat("server ", event.about_server(), " does not keep up"),
          servers_.NoteLag(ServerId(event.about_server()), now) ? Use::kOver : Use::kAppended);
    case v1::ServerEvent::CHUNK_IS_FULL:
      if (present) Recover(*open, "it is full", Use::kOver);
      return;
    case v1::ServerEvent::CHUNK_IS_IDLE:
      if (present && !open->recovery) Recover(*open, "nobody appends to it", Use::kNone);
      return;
    case v1::ServerEvent::REPLICA_BAD:
      return ReplicaIsBad(handle, from, false, "its server found it damaged", now);
    case v1::ServerEvent::REPLICA_GONE:
      return ReplicaIsBad(handle, from, true, "its server has lost it", now);
    default: LOG(WARNING) << "server=" << from << ": unknown event " << event.kind();
  }
}

void Manager::ReplicaIsBad(ChunkHandle handle, ServerId server, bool gone, std::string_view why,
                           Duration now) {
  if (OpenChunk* open = chunks_.FindOpen(handle)) {
    if (open->HasMember(server))
      Recover(*open, StrCat("replica on server ", server, ": ", why), Use::kAppended);
    return;
  }
  SealedChunk* sealed = chunks_.FindSealed(handle);
  const ServerState* state = servers_.Find(server);
  if (!sealed || !state) return;
  LOG(WARNING) << "bad replica: chunk=" << handle << " server=" << server << ": " << why;
  if (gone) {
    sealed->Drop(state->slot);
  } else {
    sealed->Set(state->slot, ReplicaHealth::kDamaged);
  }
  repair_.Look(handle, now);
}

void Manager::ReportReplica(const v1::ReportReplicaRequest& report) {
  absl::MutexLock lock(&mutex_);
  // Only what a server cannot know itself. The repair looks at the replica
  // before it replaces anything.
  ServerId server(report.server_id());
  ChunkHandle handle(report.handle());
  const ServerState* state = servers_.Find(server);
  if (!state || !state->alive) return;
  bool bad = report.reason() == v1::CHECKSUM_MISMATCH || report.reason() == v1::REPLICA_DAMAGED;
  if (report.reason() == v1::UNKNOWN_CHUNK) {
    const SealedChunk* sealed = chunks_.FindSealed(handle);
    bad = sealed && sealed->Find(state->slot);
  }
  if (bad)
    ReplicaIsBad(handle, server, false, StrCat("a client reports: ", ReasonName(report.reason())),
                 Now());
}

void Manager::ServerIsGone(ServerId server, Duration now) {
  const ServerState& state = *servers_.Find(server);
  LOG(WARNING) << "lost: server=" << server << " address=" << state.address << ": no heartbeat";
  TellRecoveries(server, false, false);
  RecoverAllWith(server, StrCat("server ", server, " is lost"));
  repair_.LookAtServer(server, now);
}

}  // namespace appendfs
