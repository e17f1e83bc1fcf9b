// The master's commands to the engine; see engine.h.
#include <glog/logging.h>

#include <utility>

#include "chunkserver/engine/engine_pass.h"
#include "chunkserver/engine/ordered_length.h"
#include "common/planted.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

ChunkHandle HandleOf(const CreateReplica& create) { return create.identity.handle; }
template <class Change>
ChunkHandle HandleOf(const Change& change) {
  return change.handle;
}

}  // namespace

void Engine::Submit(StoreChange change, StoredCall call) {
  const uint64_t token = ++last_token_;
  stored_calls_.emplace(token, std::move(call));
  store_.Submit(std::move(change), token);
}

// This server first; the way to the others, if it is to be primary.
std::vector<Chunk::Member> Engine::MembersFor(const std::vector<MemberAddress>& members,
                                              ServerId primary) {
  ServerId self;
  {
    absl::MutexLock lock(&mutex_);
    self = self_;
  }
  std::vector<Chunk::Member> result = {{self, nullptr}};
  if (primary == self)
    for (const MemberAddress& member : members)
      if (member.id != self) result.push_back({member.id, links_.To(member.id, member.address)});
  return result;
}

void Engine::Create(CreateCommand command, Done done) {
  std::vector<Chunk::Member> members = MembersFor(command.members, command.primary);
  const bool is_primary = command.primary == members.front().id;
  absl::MutexLock lock(&mutex_);
  CreateReplica change = command.replica;
  Submit(std::move(change), [this, created = std::move(command.replica), primary = is_primary,
                             members = std::move(members),
                             done = std::move(done)](const StoreCompletion& completion) mutable {
    mutex_.AssertHeld();
    absl::Status status = completion.status;
    const ChunkHandle handle = created.identity.handle;
    // The store takes the same create twice; what was put in order since the
    // first must stay.
    if (CreatedBefore(created, primary))
      status = absl::OkStatus();
    else if (status.ok() && Find(handle) != nullptr)
      status = MakeError(v1::ENTRY_EXISTS, StrCat("chunk=", handle, " was held here before"));
    else if (status.ok())
      OnCreated(created, primary, std::move(members));
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
  chunk->SetOpened();
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
  if (PLANTED(kSkipFence) || (PLANTED(kPromiseOnce) && chunk->epoch() > Epoch(1)))
    return answer(std::move(done), store_.State(handle));
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

void Engine::Open(OpenCommand command, Done done) {
  std::vector<Chunk::Member> members = MembersFor(command.members, command.primary);
  Pass pass(*this);
  auto answer = [this](Done to, const absl::Status& with) {
    mutex_.AssertHeld();
    turn_->Call([to = std::move(to), with]() mutable { std::move(to)(with); });
  };
  absl::StatusOr<ReplicaState> state = store_.State(command.handle);
  if (!state.ok()) return answer(std::move(done), state.status());
  const Chunk* chunk = Find(command.handle);
  if (chunk != nullptr && chunk->epoch() == command.epoch && chunk->opened() &&
      !PLANTED(kOpenTwice)) {
    // Sent twice. Whoever is primary has gone on since.
    bool primary = command.primary == members.front().id;
    return answer(std::move(done), !primary || chunk->primary()
                                       ? absl::OkStatus()
                                       : MakeError(v1::NOT_PRIMARY, "it has resigned since"));
  }
  if (absl::Status status = CheckOpen(command, *state); !status.ok())
    return answer(std::move(done), status);
  if (state->durable_length == command.length || PLANTED(kResumePrimary)) {
    OnOpened(command, std::move(members));
    return answer(std::move(done), absl::OkStatus());
  }
  // The rest of a copy that was broken off lies behind the last whole batch.
  ConformReplica cut{command.handle, command.epoch,    command.length,
                     false,          command.mtime_ns, state->memory};
  Submit(std::move(cut), [this, answer, command = std::move(command), members = std::move(members),
                          done = std::move(done)](const StoreCompletion& completion) mutable {
    mutex_.AssertHeld();
    absl::Status status = completion.status;
    const Chunk* chunk = Find(command.handle);
    if (status.ok() && (chunk == nullptr || chunk->epoch() != command.epoch ||
                        (chunk->opened() && !PLANTED(kOpenTwice))))
      status = MakeError(v1::STALE_EPOCH, StrCat("chunk=", command.handle, " has gone on"));
    if (status.ok()) OnOpened(command, std::move(members));
    answer(std::move(done), status);
  });
}

absl::Status Engine::CheckOpen(const OpenCommand& command, const ReplicaState& state) {
  const Chunk* chunk = Find(command.handle);
  if (chunk == nullptr) return WhyNotOpen(command.handle);
  if (chunk->epoch() != command.epoch)
    return MakeError(v1::STALE_EPOCH, StrCat("chunk=", command.handle, " has promised epoch=",
                                             chunk->epoch(), ", not ", command.epoch));
  if (OrderedLength(state) != command.length && !PLANTED(kResumePrimary) && !PLANTED(kOpenTwice))
    return MakeError(v1::INVALID,
                     StrCat("chunk=", command.handle, " epoch=", command.epoch, " stands at ",
                            OrderedLength(state), ", not at ", command.length));
  return absl::OkStatus();
}

void Engine::OnOpened(const OpenCommand& command, std::vector<Chunk::Member> members) {
  const ChunkHandle handle = command.handle;
  store_.SetCommitted(handle, command.length);
  absl::StatusOr<ReplicaState> state = store_.State(handle);
  if (!state.ok()) return;
  auto& chunk = chunks_[handle];
  chunk = MakeChunk(*state);
  const bool primary = command.primary == members.front().id;
  LOG(INFO) << "chunk=" << handle << " epoch=" << command.epoch << " length=" << command.length
            << (!command.primary ? " at rest"
                : primary        ? " opened as primary"
                                 : " opened");
  if (!command.primary) return;
  chunk->SetOpened();
  if (!primary || stopping_) return;
  const ReplicaIdentity& identity = state->identity;
  Sequencer::Setup setup{handle, command.epoch, FileOffset(identity.base_offset), identity.capacity,
                         members.front().id};
  for (const Chunk::Member& member : members) setup.members.push_back(member.id);
  setup.length = PLANTED(kResumePrimary) ? state->durable_length : command.length;
  setup.mtime_ns = command.mtime_ns;
  if (!PLANTED(kForgetOnReopen)) setup.memory = DedupMemory(state->memory);
  chunk->BecomePrimary(std::move(setup), options_.sequencer, std::move(members));
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
  Pass pass(*this);
  auto [handle, epoch] = std::visit(
      [](const auto& what) {
        if constexpr (requires { what.epoch; })
          return std::pair(HandleOf(what), what.epoch);
        else
          return std::pair(HandleOf(what), Epoch());
      },
      change);
  // A copy that came late must not undo what has been appended since.
  if (const Chunk* chunk = Find(handle); chunk && chunk->opened() && chunk->epoch() == epoch) {
    turn_->Call([done = std::move(done), handle = handle, epoch = epoch]() mutable {
      std::move(done)(MakeError(v1::STALE_EPOCH,
                                StrCat("chunk=", handle, " is open in epoch=", epoch, " already")));
    });
    return;
  }
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
  if (const Chunk* chunk = Find(handle);
      chunk && chunk->opened() && state.ok() && chunk->epoch() == state->epoch && !state->sealed)
    return;  // opened since
  Drop(handle, MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle, " was recovered")));
  if (state.ok() && !state->sealed && !state->damaged) chunks_.emplace(handle, MakeChunk(*state));
}

}  // namespace appendfs
