// The master's commands to the engine; see engine.h.
#include <glog/logging.h>

#include <utility>

#include "chunkserver/engine/engine_pass.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {

void Engine::Submit(StoreChange change, StoredCall call) {
  const uint64_t token = ++last_token_;
  stored_calls_.emplace(token, std::move(call));
  store_.Submit(std::move(change), token);
}

void Engine::Create(CreateCommand command, Done done) {
  ServerId self;
  {
    absl::MutexLock lock(&mutex_);
    self = self_;
  }
  std::vector<Chunk::Member> members = {{self, nullptr}};
  if (command.primary == self)
    for (const MemberAddress& member : command.members)
      if (member.id != self) members.push_back({member.id, links_.To(member.id, member.address)});
  absl::MutexLock lock(&mutex_);
  CreateReplica change = command.replica;
  Submit(std::move(change), [this, created = std::move(command.replica),
                             primary = command.primary == self, members = std::move(members),
                             done = std::move(done)](const StoreCompletion& completion) mutable {
    mutex_.AssertHeld();
    absl::Status status = completion.status;
    if (status.ok())
      OnCreated(created, primary, std::move(members));
    else if (CreatedBefore(created, primary))
      status = absl::OkStatus();
    turn_->Call([done = std::move(done), status]() mutable { std::move(done)(status); });
  });
}

void Engine::OnCreated(const CreateReplica& created, bool primary,
                       std::vector<Chunk::Member> members) {
  const ReplicaIdentity& identity = created.identity;
  ReplicaState state;
  state.identity = identity;
  state.epoch = created.epoch;
  auto& chunk = chunks_[identity.handle];
  chunk = MakeChunk(state);
  turn_->Call([identity, epoch = created.epoch, primary] {
    LOG(INFO) << "chunk=" << identity.handle << " epoch=" << epoch << " inode=" << identity.inode
              << " created" << (primary ? " as primary" : "");
  });
  if (!primary || stopping_) return;
  Sequencer::Setup setup{identity.handle, created.epoch, FileOffset(identity.base_offset),
                         identity.capacity, members.front().id};
  for (const Chunk::Member& member : members) setup.members.push_back(member.id);
  setup.mtime_ns = created.mtime_ns;
  setup.memory = DedupMemory(created.memory);
  chunk->BecomePrimary(std::move(setup), options_.sequencer, std::move(members));
}

// Whether the same create has come before. A primary that restarted since must
// not become primary again: it no longer knows what it has put in order.
bool Engine::CreatedBefore(const CreateReplica& created, bool primary) {
  const Chunk* chunk = Find(created.identity.handle);
  if (chunk == nullptr || chunk->epoch() != created.epoch) return false;
  return !primary || (chunk->sequencer() != nullptr && chunk->primary());
}

void Engine::Fence(ChunkHandle handle, Epoch epoch, FenceDone done) {
  Pass pass(*this);
  auto answer = [this](FenceDone to, absl::StatusOr<ReplicaState> with) {
    mutex_.AssertHeld();
    turn_->Call(
        [to = std::move(to), with = std::move(with)]() mutable { std::move(to)(std::move(with)); });
  };
  Chunk* chunk = Find(handle);
  if (chunk == nullptr) {
    absl::StatusOr<ReplicaState> state = store_.State(handle);
    if (state.ok() && (state->damaged || !state->sealed)) state = WhyNotOpen(handle);
    return answer(std::move(done), std::move(state));
  }
  if (PLANTED(kSkipFence)) return answer(std::move(done), store_.State(handle));
  if (absl::Status status = chunk->Promise(epoch); !status.ok())
    return answer(std::move(done), status);
  Submit(FenceReplica{handle, epoch},
         [this, handle, answer, done = std::move(done)](const StoreCompletion& completion) mutable {
           if (completion.status.ok())
             answer(std::move(done), store_.State(handle));
           else
             answer(std::move(done), completion.status);
         });
}

void Engine::Delete(ChunkHandle handle, Done done) {
  Pass pass(*this);
  Drop(handle, MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk=", handle, " was deleted here")));
  Submit(DeleteReplica{handle},
         [this, done = std::move(done)](const StoreCompletion& completion) mutable {
           mutex_.AssertHeld();
           turn_->Call([done = std::move(done), status = completion.status]() mutable {
             std::move(done)(HasReason(status, v1::UNKNOWN_CHUNK) ? absl::OkStatus() : status);
           });
         });
}

void Engine::Apply(StoreChange change, Done done) {
  absl::MutexLock lock(&mutex_);
  Submit(std::move(change),
         [this, done = std::move(done)](const StoreCompletion& completion) mutable {
           mutex_.AssertHeld();
           turn_->Call([done = std::move(done), status = completion.status]() mutable {
             std::move(done)(status);
           });
         });
}

void Engine::Reload(ChunkHandle handle) {
  Pass pass(*this);
  absl::StatusOr<ReplicaState> state = store_.State(handle);
  Drop(handle, MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle, " was recovered")));
  if (state.ok() && !state->sealed && !state->damaged) chunks_.emplace(handle, MakeChunk(*state));
}

}  // namespace appendfs
