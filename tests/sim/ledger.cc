#include "tests/sim/ledger.h"

#include <algorithm>

#include "master/namespace/reads.h"
#include "tests/sim/history.h"
#include "tests/sim/master_node.h"
#include "tests/sim/server_node.h"

namespace appendfs::sim {
namespace {

absl::StatusOr<std::string> BytesOf(ServerNode& server, ChunkHandle handle, uint64_t from,
                                    uint64_t to) {
  auto read = server.store()->Fetch(handle, from, static_cast<uint32_t>(to - from));
  if (!read.ok()) return read.status();
  return std::string(read->payload.view());
}

}  // namespace

std::string Ledger::Tell(const Chunk& chunk) const {
  std::string told = StrCat(" [", chunk.committed.size(), " committed; epoch=", chunk.epoch);
  for (const auto& [server, replica] : chunk.replicas)
    if (replica.present)
      told += StrCat(", ", server->host.name, server->store() ? "" : " (down)",
                     server->disk_harmed ? " (harmed)" : "",
                     server->disk_failed ? " (failed a sync)" : "", " ", replica.durable,
                     " bytes epoch=", replica.epoch, replica.sealed ? " sealed" : "",
                     replica.damaged ? " damaged" : "");
  return told + "]";
}

int Ledger::Holders(const Chunk& chunk, uint64_t length) const {
  int holders = 0, harmed = 0;
  for (const auto& server : world_.servers) {
    auto found = chunk.replicas.find(server.get());
    const bool holds = found != chunk.replicas.end() && found->second.present &&
                       !found->second.damaged && found->second.durable >= length &&
                       !found->second.LeftBehindAt(length);
    holders += holds;
    harmed += !holds && server->disk_harmed;
  }
  return holders + harmed;
}

// --- what happens ----------------------------------------------------------------

void Ledger::Started(ServerNode& server) {
  std::map<ChunkHandle, ReplicaState> now;
  for (ReplicaState& state : server.store()->List(ChunkHandle(), 1 << 20))
    now.emplace(state.identity.handle, std::move(state));
  for (auto& [handle, chunk] : chunks_) {
    auto before = chunk.replicas.find(&server);
    if (before == chunk.replicas.end() || !before->second.present) continue;
    auto found = now.find(handle);
    CheckRestarted(server, handle, before->second, found == now.end() ? nullptr : &found->second);
    before->second.compared = 0;
    if (found == now.end()) before->second.present = false;
  }
  for (const auto& [handle, state] : now) Touched(server, handle);
}

void Ledger::CheckRestarted(ServerNode& server, ChunkHandle handle, const Replica& before,
                            const ReplicaState* now) {
  if (before.damaged || (now != nullptr && now->damaged && server.disk_harmed)) return;
  const Chunk& chunk = chunks_[handle];
  if (now == nullptr) {
    // A deletion may have been durable before it was told. Rot in the journal
    // may take a replica of which nothing else tells: unknown is no answer.
    if (!before.deleting && !server.disk_may_forget() && !server.disk_harmed)
      Fail(handle, server.host.name, " has lost it in a restart");
    return;
  }
  if (now->damaged)
    return Fail(handle, server.host.name,
                " finds it damaged, and nothing harmed its disk: ", now->damage);
  // What was harmed may be damaged; it never passes for a shorter one.
  const uint64_t promised = std::min<uint64_t>(before.durable, chunk.committed.size());
  if (now->durable_length < promised && !server.disk_may_forget())
    Fail(handle, server.host.name, " held ", before.durable, " bytes, and after a restart ",
         now->durable_length);
  if (now->epoch < before.epoch && !server.disk_may_forget())
    Fail(handle, server.host.name, " had promised epoch=", before.epoch, ", and after a restart ",
         now->epoch);
}

void Ledger::Deleting(ServerNode& server, ChunkHandle handle) {
  Replica& replica = chunks_[handle].replicas[&server];
  replica.deleting = true;
  replica.deleting_boot = server.host.boot;
}

void Ledger::Promised(ServerNode& server, ChunkHandle handle, Epoch epoch, uint64_t length) {
  Check();
  const Replica& replica = chunks_[handle].replicas[&server];
  if (replica.sealed) return;
  if (replica.epoch < epoch || replica.durable < length)
    Fail(handle, server.host.name, " promises epoch=", epoch, " with ", length,
         " bytes, and has not made it durable");
  if (world_.on_promise) world_.on_promise(server, handle);
}

void Ledger::Deleted(ServerNode& server, ChunkHandle handle) {
  Replica& replica = chunks_[handle].replicas[&server];
  replica.deleted = true;
  replica.present = false;
}

void Ledger::Check() {
  while (!touched_.empty()) {
    auto touched = std::exchange(touched_, {});
    for (const auto& [server, handle] : touched)
      if (server->store() != nullptr) CheckReplica(*server, handle);
  }
}

void Ledger::CheckReplica(ServerNode& server, ChunkHandle handle) {
  auto listed = server.store()->List(ChunkHandle(handle.value() - 1), 1);
  if (!listed.empty() && listed.front().identity.handle == handle)
    return Believe(server, handle, listed.front());
  if (auto found = chunks_.find(handle); found != chunks_.end())
    found->second.replicas[&server].present = false;
}

void Ledger::Believe(ServerNode& server, ChunkHandle handle, const ReplicaState& state) {
  Chunk& chunk = chunks_[handle];
  Replica& replica = chunk.replicas[&server];
  if (!replica.present) {
    if (replica.deleted && !state.sealed && !state.damaged)
      Fail(handle, server.host.name, " had deleted it, and creates it again");
    replica.compared = 0;
    replica.left_behind.reset();
  }
  const bool same_life = replica.present && replica.boot == server.host.boot && !replica.damaged;
  // Else it may still be on its way to the disk; it may have been ordered while
  // the creation was.
  if (replica.deleted || replica.damaged || replica.deleting_boot != server.host.boot)
    replica.deleting = false;
  replica.present = true;
  replica.deleted = false;
  replica.boot = server.host.boot;
  replica.damaged = state.damaged;
  if (state.damaged) return;
  if (chunk.inode.value() == 0) {
    chunk.inode = state.identity.inode;
    chunk.base_offset = state.identity.base_offset;
  }
  if (same_life && state.epoch < replica.epoch)
    Fail(handle, server.host.name, " goes back from epoch=", replica.epoch, " to ", state.epoch);
  if (state.committed_length > state.durable_length)
    Fail(handle, server.host.name, " shows ", state.committed_length, " of ", state.durable_length);
  const uint64_t known = std::min<uint64_t>(replica.durable, chunk.committed.size());
  if (same_life && state.durable_length < known)
    Fail(handle, server.host.name, " was cut to ", state.durable_length, " bytes");
  if (state.epoch != replica.epoch || state.sealed != replica.sealed)
    world_.kernel.Trace("chunk=", handle, " ", server.host.name, ": ", state.durable_length,
                        " bytes epoch=", state.epoch, state.sealed ? " sealed" : "");
  replica.epoch = state.epoch;
  replica.durable = state.durable_length;
  replica.sealed = state.sealed;
  replica.compared = std::min(replica.compared, state.durable_length);
  if (state.epoch < chunk.goes_on_in)
    replica.left_behind = chunk.goes_on_from;
  else if (state.sealed || !replica.LeftBehindAt(state.durable_length))
    replica.left_behind.reset();
  if (server.disk_harmed && !server.journal_harmed()) return;

  if (state.sealed && chunk.sealed && state.durable_length != *chunk.sealed)
    Fail(handle, server.host.name, " is sealed at ", state.durable_length, " bytes, not at the ",
         *chunk.sealed, " agreed on");
  if (state.sealed && !chunk.sealed && state.durable_length > 0)
    Fail(handle, server.host.name, " is sealed before the log");
  Extend(handle, state.committed_length, server, "shown as committed");
  uint64_t both = std::min<uint64_t>(state.durable_length, chunk.committed.size());
  if (replica.LeftBehindAt(both)) both = *replica.left_behind;
  if (both <= replica.compared) return;
  auto bytes = BytesOf(server, handle, replica.compared, both);
  if (!bytes.ok() && server.disk.power_is_off()) return;
  if (!bytes.ok())
    return Fail(handle, server.host.name, " cannot read what it holds: ", bytes.status().message());
  if (*bytes != std::string_view(chunk.committed).substr(replica.compared, both - replica.compared))
    return Fail(handle, server.host.name, " holds other bytes from ", replica.compared,
                " on than are committed");
  replica.compared = both;
}

void Ledger::Extend(ChunkHandle handle, uint64_t length, ServerNode& from, const char* why) {
  Chunk& chunk = chunks_[handle];
  if (length <= chunk.committed.size()) return;
  if (chunk.sealed && length > *chunk.sealed)
    return Fail(handle, length, " bytes are ", why, " by ", from.host.name, "; it is sealed at ",
                *chunk.sealed);
  const int holders = Holders(chunk, length);
  if (holders < kWriteQuorum)
    return Fail(handle, length, " bytes are ", why, " by ", from.host.name, ", and durable on ",
                holders, " servers");
  chunk.claimed = std::max(chunk.claimed, length);
  // Its own bytes, or anybody's who has them: they are compared one by one.
  std::vector<ServerNode*> holding = {&from};
  for (const auto& [server, replica] : chunk.replicas) holding.push_back(server);
  for (ServerNode* server : holding) {
    const Replica& replica = chunk.replicas[server];
    if (server->store() == nullptr || !replica.present || replica.damaged ||
        replica.durable < length || replica.LeftBehindAt(length) || server->disk_harmed)
      continue;
    auto bytes = BytesOf(*server, handle, chunk.committed.size(), length);
    if (!bytes.ok() || chunk.committed.size() + bytes->size() != length) continue;
    chunk.committed += *bytes;
    for (const auto& [other, held] : chunk.replicas)
      if (held.present) Touched(*other, handle);
    break;
  }
  world_.kernel.Trace("chunk=", handle, ": ", chunk.committed.size(), " bytes ", why, " by ",
                      from.host.name);
  const size_t whole = chunk.committed.rfind('\n');
  if (whole == std::string::npos || whole + 1 <= chunk.parsed) return;
  files_[chunk.inode].emplace(chunk.base_offset, handle);
  world_.history->Committed(
      chunk.inode, chunk.base_offset + chunk.parsed,
      std::string_view(chunk.committed).substr(chunk.parsed, whole + 1 - chunk.parsed));
  chunk.parsed = whole + 1;
}

// --- primaries ---------------------------------------------------------------------

void Ledger::Commits(ServerNode& server, const Commit& commit) {
  Check();  // its own completions come first
  Chunk& chunk = chunks_[commit.handle];
  auto [at, first] = chunk.committer.try_emplace(commit.epoch, &server, server.host.boot);
  if (at->second.first != &server)
    Fail(commit.handle, server.host.name, " commits in epoch=", commit.epoch, ", and so did ",
         at->second.first->host.name);
  else if (at->second.second != server.host.boot)
    Fail(commit.handle, server.host.name, " commits in epoch=", commit.epoch,
         " after a restart, as it did before");
  if (commit.epoch < chunk.goes_on_in && commit.length > chunk.goes_on_from)
    return Fail(commit.handle, server.host.name, " commits ", commit.length,
                " bytes in epoch=", commit.epoch, ", and the chunk went on from ",
                chunk.goes_on_from, " in epoch=", chunk.goes_on_in);
  Extend(commit.handle, commit.length, server, "committed");
}

void Ledger::Answers(ServerNode& server, ClientId client, const ClientOutcome& outcome) {
  if (!outcome.status.ok()) return;
  const Chunk& chunk = chunks_[outcome.handle];
  auto [at, first] = answers_.try_emplace({chunk.inode, client, outcome.sequence}, outcome.offset);
  if (!first && at->second != outcome.offset)
    Fail(outcome.handle, "inode=", chunk.inode, " client=", client, " sequence=", outcome.sequence,
         ": ", server.host.name, " answers offset ", outcome.offset, ", and it was ", at->second);
  if (!first) world_.kernel.counts["duplicates answered"]++;
}

// --- the master ----------------------------------------------------------------------

void Ledger::Logged(const v1::MetaOp& op) {
  const auto* field = v1::MetaOp::descriptor()->FindFieldByNumber(op.op_case());
  if (field != nullptr) world_.kernel.counts[StrCat("logged ", field->name())]++;
  switch (op.op_case()) {
    case v1::MetaOp::kAllocateChunk:
      chunks_[ChunkHandle(op.allocate_chunk().handle())].epoch = Epoch(1);
      owners_[ChunkHandle(op.allocate_chunk().handle())] = InodeId(op.allocate_chunk().inode());
      return;
    case v1::MetaOp::kBeginRecovery: {
      const ChunkHandle handle(op.begin_recovery().handle());
      chunks_[handle].epoch = Epoch(op.begin_recovery().epoch());
      ++recoveries_[InodeOf(handle)];
      if (world_.on_recovery) world_.on_recovery(handle);
      return;
    }
    case v1::MetaOp::kSealChunk: return Sealed(op.seal_chunk());
    case v1::MetaOp::kReopenChunk: {
      const v1::ReopenChunkOp& what = op.reopen_chunk();
      return GoesOn(ChunkHandle(what.handle()), Epoch(what.epoch()), what.length(), true);
    }
    case v1::MetaOp::kParkChunk: {
      const v1::ParkChunkOp& what = op.park_chunk();
      return GoesOn(ChunkHandle(what.handle()), Epoch(what.epoch()), what.length(), false);
    }
    default: return;
  }
}

void Ledger::GoesOn(ChunkHandle handle, Epoch epoch, uint64_t length, bool reopened) {
  Check();
  Chunk& chunk = chunks_[handle];
  if (length < chunk.committed.size())
    return Fail(handle, "goes on from ", length, " bytes, fewer than are committed");
  chunk.goes_on_in = epoch;
  chunk.goes_on_from = length;
  auto record = GetChunk(world_.master->tables(), handle);
  if (reopened && record.ok() && record->has_value())
    for (const v1::ServerAddress& member : (*record)->chunk().replicas())
      for (const auto& [server, replica] : chunk.replicas)
        if (server->id() == ServerId(member.server_id()) && !server->disk_harmed &&
            (!replica.present || replica.epoch < epoch || replica.durable < length))
          return Fail(handle, "is reopened with ", length, " bytes under epoch=", epoch, ", where ",
                      server->host.name, " does not stand");
  for (auto& [server, replica] : chunk.replicas)
    if (replica.present && replica.epoch < epoch) replica.left_behind = length;
  for (const auto& [server, replica] : chunk.replicas)
    if (server->store() != nullptr && replica.present)
      return Extend(handle, length, *server, reopened ? "reopened" : "parked");
}

void Ledger::Sealed(const v1::SealChunkOp& op) {
  Check();
  const ChunkHandle handle(op.handle());
  Chunk& chunk = chunks_[handle];
  const uint64_t length = op.length();
  if (length < chunk.committed.size())
    return Fail(handle, "is sealed at ", length, " bytes, fewer than are committed");
  if (length == 0) return;
  chunk.sealed = length;
  for (const auto& [server, replica] : chunk.replicas)
    if (server->store() != nullptr && replica.present)
      return Extend(handle, length, *server, "sealed");
}

std::optional<uint64_t> Ledger::UnknownUntil(InodeId inode, uint64_t offset) const {
  for (const auto& [handle, chunk] : chunks_) {
    const uint64_t end = chunk.base_offset + std::max(chunk.claimed, chunk.sealed.value_or(0));
    if (chunk.inode == inode && offset >= chunk.base_offset + chunk.committed.size() &&
        offset < end)
      return end;
  }
  return std::nullopt;
}

InodeId Ledger::InodeOf(ChunkHandle handle) const {
  auto owner = owners_.find(handle);
  return owner == owners_.end() ? InodeId() : owner->second;
}

uint64_t Ledger::Recoveries(InodeId inode) const {
  auto found = recoveries_.find(inode);
  return found == recoveries_.end() ? 0 : found->second;
}

std::optional<Ledger::Committed> Ledger::Find(InodeId inode, uint64_t offset) const {
  auto file = files_.find(inode);
  if (file == files_.end()) return std::nullopt;
  auto at = file->second.upper_bound(offset);
  if (at == file->second.begin()) return std::nullopt;
  --at;
  const Chunk& chunk = chunks_.at(at->second);
  if (offset >= chunk.base_offset + chunk.committed.size()) return std::nullopt;
  return Committed{at->second, chunk.base_offset, chunk.committed};
}

}  // namespace appendfs::sim
