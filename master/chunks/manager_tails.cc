#include <glog/logging.h>

#include "common/planted.h"
#include "common/str_cat.h"
#include "master/chunks/manager.h"
#include "master/namespace/tables.h"
#include "master/sessions/session_table.h"

namespace appendfs {
namespace {

constexpr uint32_t kReservation = 1000;  // handles

}  // namespace

void Manager::OpenTail(const v1::OpenTailRequest& request, Duration deadline, TailDone done) {
  absl::MutexLock lock(&mutex_);
  const Duration now = Now();
  if (!SessionIsLive(ClientId(request.client_id())))
    return Answer(std::move(done),
                  MakeError(v1::SESSION_EXPIRED,
                            StrCat("client ", request.client_id(), ": its session has ended")));
  const OpenChunk* failed = chunks_.FindOpen(ChunkHandle(request.failed_handle()));
  // Silent to a client, but not to us: it is slow, and no other would be faster.
  if (failed && request.failed_reason() == v1::TIMED_OUT && !failed->recovery &&
      failed->record.state() == v1::OPEN && failed->epoch() == Epoch(request.failed_epoch()) &&
      AnswersPromptly(failed->primary(), now))
    return Answer(std::move(done), failed->record);
  // Whom a client cannot reach is no good choice for its next chunk.
  if (failed && failed->primary() &&
      (request.failed_reason() == v1::UNREACHABLE || request.failed_reason() == v1::TIMED_OUT))
    servers_.Suspect(failed->primary(), now, false);
  tails_.Open(request, deadline, std::move(done), now);
}

OpenChunk* Manager::OpenChunkOf(InodeId inode) { return chunks_.OpenOf(inode); }

void Manager::Recover(OpenChunk& chunk, std::string_view why, bool full) {
  // One that comes to grief again and again is left in peace for a while: the
  // tail opener asks again with every tick.
  if (!chunk.recovery && !full && Now() < chunk.not_before) return;
  Recover(chunk, why, full ? Use::kOver : Use::kAppended);
}

void Manager::ReadInode(InodeId inode) {
  executor_->Post([this, inode] {
    std::unique_ptr<KeyValueReader> tables = log_.Snapshot();
    absl::StatusOr<std::optional<v1::InodeRecord>> record = FindInode(*tables, inode);
    absl::StatusOr<std::optional<v1::ChunkRecord>> tail;
    bool at_rest = record.ok() && *record && (*record)->tail_handle() && !(*record)->tail_sealed();
    if (at_rest) tail = FindChunk(*tables, ChunkHandle((*record)->tail_handle()));
    tables.reset();
    absl::MutexLock lock(&mutex_);
    if (at_rest && tail.ok() && *tail && !chunks_.OpenOf(inode)) Unpark(**tail);
    if (at_rest && !tail.ok()) record = tail.status();
    tails_.OnInode(inode, std::move(record), Now());
  });
}

absl::StatusOr<ChunkPlacement> Manager::Place() {
  absl::StatusOr<ChunkPlacement> placement =
      PlaceChunk(servers_.Candidates(Now()), options_.chunk_bytes);
  if (!HasReason(placement.status(), v1::QUORUM_LOST)) return placement;
  std::string missing;
  for (const ServerState& server : servers_.all())
    if (!server.alive)
      missing += StrCat(missing.empty() ? "; missing: " : ", ", server.address, " (server ",
                        server.id, ")");
  return MakeError(v1::QUORUM_LOST, StrCat(FromAbsl(placement.status().message()), missing));
}

ChunkHandle Manager::TakeHandle() {
  if (next_handle_ == handles_end_) {
    ReserveHandles();
    return ChunkHandle();
  }
  ChunkHandle handle(next_handle_++);
  in_making_.insert(handle);
  return handle;
}

void Manager::ReserveHandles() {
  if (reserving_) return;
  reserving_ = true;
  v1::MetaOp op;
  op.mutable_reserve_handles()->set_count(kReservation);
  Propose(std::move(op),
          [this](absl::StatusOr<v1::MetaResult> result) ABSL_NO_THREAD_SAFETY_ANALYSIS {
            reserving_ = false;
            if (!result.ok()) {
              LOG(ERROR) << "no chunk handles: " << result.status().message();
              return;
            }
            next_handle_ = result->id();
            handles_end_ = next_handle_ + kReservation;
            reserved_bound_ = std::max(reserved_bound_, handles_end_);
            tails_.OnHandles(Now());
          });
}

void Manager::CreateReplicas(const ChunkPlacement& placement, v1::CreateChunksRequest::Item item) {
  for (ServerId member : placement.members) *item.add_members() = Address(member);
  for (ServerId member : placement.members) {
    auto done = [this, member, inode = InodeId(item.inode()), handle = ChunkHandle(item.handle())](
                    absl::StatusOr<v1::CreateChunksResponse::Item> result) {
      absl::MutexLock lock(&mutex_);
      const Duration now = Now();
      if (!result.ok()) {
        LOG(WARNING) << "create fails: chunk=" << handle << " inode=" << inode
                     << " server=" << member << ": " << result.status().message();
        servers_.Suspect(member, now, true);
      }
      tails_.OnCreateAnswer(inode, handle, member, result.status(), now);
    };
    executor_->Post(
        [this, target = Target(*servers_.Find(member)), item, done = std::move(done)]() mutable {
          sender_->Create(target, std::move(item), std::move(done));
        });
  }
}

void Manager::DiscardReplicas(const ChunkCreation& creation) {
  const Duration now = Now();
  for (ServerId server : creation.Failed()) servers_.Suspect(server, now, true);
  in_making_.erase(creation.handle());
  garbage_.Add(creation.handle(), creation.placement().members, false);
}

void Manager::Allocate(const ChunkCreation& creation, v1::AllocateChunkOp allocate) {
  v1::MetaOp op;
  InodeId inode(allocate.inode());
  *op.mutable_allocate_chunk() = std::move(allocate);
  Propose(std::move(op), [this, inode, handle = creation.handle()](
                             absl::StatusOr<v1::MetaResult> result) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const Duration now = Now();
    if (result.ok()) {
      in_making_.erase(handle);
      OpenChunk& chunk = chunks_.AddOpen(result->chunk().chunk(), now);
      for (const OpenChunk::Member& member : chunk.members)
        servers_.AddOpenReplica(member.server, member.server == chunk.primary(), 1);
      LOG(INFO) << "opened: chunk=" << handle << " epoch=" << chunk.epoch() << " inode=" << inode
                << " primary=" << chunk.primary() << " replicas=" << chunk.members.size();
    }
    tails_.OnAllocated(inode, handle, result.status(), now);
  });
}

bool Manager::SessionIsLive(ClientId client) const {
  return PLANTED(kForgetTooEarly) || sessions_.IsLive(client);
}

void Manager::Answer(TailDone done, absl::StatusOr<v1::Chunk> answer) {
  if (answer.ok())
    for (v1::ServerAddress& replica : *answer->mutable_replicas())
      replica = Address(ServerId(replica.server_id()));
  executor_->Post([done = std::move(done), answer = std::move(answer)]() mutable {
    std::move(done)(std::move(answer));
  });
}

}  // namespace appendfs
