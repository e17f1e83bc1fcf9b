#include "chunkserver/engine/engine.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "chunkserver/engine/engine_pass.h"
#include "common/str_cat.h"

namespace appendfs {

Engine::Engine(ChunkStore& store, const Clock& clock, Executor& background, PeerLinks& links,
               EventSink& events, const EngineOptions& options)
    : store_(store),
      clock_(clock),
      background_(background),
      links_(links),
      events_(events),
      options_(options) {
  constexpr size_t kPage = 1024;
  ChunkHandle after;
  while (true) {
    std::vector<ReplicaState> page = store_.List(after, kPage);
    absl::MutexLock lock(&mutex_);
    for (const ReplicaState& state : page)
      if (!state.sealed && !state.damaged) chunks_.emplace(state.identity.handle, MakeChunk(state));
    if (page.size() < kPage) break;
    after = page.back().identity.handle;
  }
}

Engine::~Engine() = default;

void Engine::SetSelf(ServerId self) {
  absl::MutexLock lock(&mutex_);
  self_ = self;
}

StreamId Engine::AddClient(std::shared_ptr<ClientSink> sink) {
  absl::MutexLock lock(&mutex_);
  last_stream_ = last_stream_.Next();
  clients_.emplace(last_stream_, std::move(sink));
  return last_stream_;
}

void Engine::RemoveClient(StreamId stream) {
  std::shared_ptr<ClientSink> gone;  // released without the lock
  absl::MutexLock lock(&mutex_);
  if (auto found = clients_.find(stream); found != clients_.end()) {
    gone = std::move(found->second);
    clients_.erase(found);
  }
}

std::shared_ptr<ClientSink> Engine::client(StreamId stream) {
  auto found = clients_.find(stream);
  return found == clients_.end() ? nullptr : found->second;
}

void Engine::AddPeer(const std::shared_ptr<VoteSink>& peer) {
  absl::MutexLock lock(&mutex_);
  peers_.insert(peer);
}

void Engine::RemovePeer(const std::shared_ptr<VoteSink>& peer) {
  absl::MutexLock lock(&mutex_);
  peers_.erase(peer);
  for (auto& [handle, chunk] : chunks_) chunk->OnPrimaryGone(peer);
}

Chunk* Engine::Find(ChunkHandle handle) {
  auto found = chunks_.find(handle);
  return found == chunks_.end() ? nullptr : found->second.get();
}

absl::Status Engine::WhyNotOpen(ChunkHandle handle) const {
  absl::StatusOr<ReplicaState> state = store_.State(handle);
  if (!state.ok()) return state.status();
  if (state->damaged)
    return MakeError(v1::REPLICA_DAMAGED, StrCat("chunk=", handle, ": ", state->damage));
  if (state->sealed)
    return MakeError(v1::CHUNK_SEALED,
                     StrCat("chunk=", handle, " is sealed at ", state->durable_length, " bytes"));
  return MakeError(v1::NOT_READY, StrCat("chunk=", handle, " is being made"));
}

void Engine::Drop(ChunkHandle handle, const absl::Status& why) {
  auto found = chunks_.find(handle);
  if (found == chunks_.end()) return;
  found->second->ResignPrimary(why);
  chunks_.erase(found);
  watched_.erase(handle);
}

void Engine::Watch(ChunkHandle handle, const Chunk& chunk) {
  if (chunk.needs_tick()) watched_.insert(handle);
}

void Engine::Refuse(const ClientBatch& batch, absl::Status why) {
  std::shared_ptr<ClientSink> sink = client(batch.stream);
  if (sink == nullptr) return;
  sink->Queue({batch.handle, batch.epoch, batch.sequence, FileOffset(), 0, std::move(why),
               batch.payload.size()});
  turn_->Flush(sink);
}

void Engine::Append(std::span<const ClientBatch> batches) {
  const Duration now = clock_.Monotonic();
  const uint64_t wall_ns = clock_.WallNanos();
  Pass pass(*this);
  for (const ClientBatch& batch : batches) {
    Chunk* chunk = Find(batch.handle);
    if (stopping_) {
      Refuse(batch, MakeError(v1::SHUTTING_DOWN, "the server is about to exit"));
    } else if (chunk == nullptr) {
      Refuse(batch, WhyNotOpen(batch.handle));
    } else {
      chunk->Append(batch, wall_ns, now);
      Watch(batch.handle, *chunk);
    }
  }
}

void Engine::OnReplicate(const std::shared_ptr<VoteSink>& from, std::span<const Ready> ready,
                         std::span<const Commit> commits, std::span<const Confirm> confirms) {
  Pass pass(*this);
  for (const Ready& batch : ready) {
    if (Chunk* chunk = Find(batch.handle)) {
      chunk->OnReady(batch, from);
    } else {
      from->Queue(Vote{batch.handle, batch.epoch, 0, WhyNotOpen(batch.handle)});
      turn_->Flush(from);
    }
  }
  for (const Commit& commit : commits)
    if (Chunk* chunk = Find(commit.handle)) chunk->OnCommit(commit);
  for (const Confirm& confirm : confirms) {
    if (Chunk* chunk = Find(confirm.handle)) {
      from->Queue(chunk->OnConfirm(confirm));
    } else {
      absl::StatusOr<ReplicaState> state = store_.State(confirm.handle);
      absl::Status status =
          state.ok() && !state->damaged ? absl::OkStatus() : WhyNotOpen(confirm.handle);
      from->Queue(ConfirmAnswer{confirm.handle, confirm.round, status.ok() ? state->epoch : Epoch(),
                                status});
    }
    turn_->Flush(from);
  }
}

void Engine::OnVotes(ServerId from, std::span<const Vote> votes,
                     std::span<const ConfirmAnswer> confirms) {
  const Duration now = clock_.Monotonic();
  Pass pass(*this);
  for (const Vote& vote : votes) {
    if (Chunk* chunk = Find(vote.handle)) {
      chunk->OnVote(from, vote, now);
      Watch(vote.handle, *chunk);
    }
  }
  for (const ConfirmAnswer& answer : confirms)
    if (Chunk* chunk = Find(answer.handle)) chunk->OnConfirm(from, answer);
}

void Engine::OnPeerBroken(ServerId peer) {
  Pass pass(*this);
  for (auto& [handle, chunk] : chunks_) {
    chunk->OnPeerBroken(peer);
    Watch(handle, *chunk);
  }
}

void Engine::AskFresh(std::vector<FreshAsk> questions) {
  const Duration now = clock_.Monotonic();
  Pass pass(*this);
  for (FreshAsk& question : questions) {
    absl::StatusOr<FreshLength> answer;
    if (Chunk* chunk = Find(question.handle)) {
      const uint64_t token = ++last_token_;
      questions_.emplace(token, std::move(question.answer));
      absl::Status status = chunk->AskFresh(token, question.epoch, question.readable_here, now);
      if (!status.ok()) AnswerFresh(token, status);
      Watch(question.handle, *chunk);
      continue;
    }
    absl::StatusOr<ReplicaState> state = store_.State(question.handle);
    if (state.ok() && state->sealed && !state->damaged)
      answer = FreshLength{state->durable_length, state->mtime_ns, true};
    else
      answer = WhyNotOpen(question.handle);
    turn_->Call([call = std::move(question.answer), answer]() mutable { std::move(call)(answer); });
  }
}

void Engine::AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) {
  auto found = questions_.find(token);
  if (found == questions_.end()) return;
  absl::AnyInvocable<void()&&> call = [call = std::move(found->second), answer]() mutable {
    std::move(call)(answer);
  };
  questions_.erase(found);
  if (on_store_thread_) {
    turn_->Call([this, call = std::move(call)]() mutable { background_.Post(std::move(call)); });
  } else {
    turn_->Call(std::move(call));
  }
}

Epoch Engine::PromisedEpoch(ChunkHandle handle) const {
  absl::MutexLock lock(&mutex_);
  auto found = chunks_.find(handle);
  return found == chunks_.end() ? Epoch() : found->second->epoch();
}

std::vector<ReplicaSummary> Engine::List(ChunkHandle after, size_t limit) const {
  std::vector<ReplicaSummary> summaries;
  for (ReplicaState& state : store_.List(after, limit)) summaries.push_back({std::move(state)});
  absl::MutexLock lock(&mutex_);
  for (ReplicaSummary& summary : summaries) {
    auto found = chunks_.find(summary.state.identity.handle);
    if (found == chunks_.end()) continue;
    summary.primary = found->second->primary();
    summary.degraded = found->second->degraded();
  }
  return summaries;
}

absl::StatusOr<ReplicaSummary> Engine::Inspect(ChunkHandle handle) const {
  APPENDFS_ASSIGN_OR_RETURN(ReplicaState state, store_.State(handle));
  ReplicaSummary summary{std::move(state)};
  absl::MutexLock lock(&mutex_);
  if (auto found = chunks_.find(handle); found != chunks_.end()) {
    summary.primary = found->second->primary();
    summary.degraded = found->second->degraded();
  }
  return summary;
}

void Engine::StopAppends() {
  Pass pass(*this);
  stopping_ = true;
  for (auto& [handle, chunk] : chunks_)
    chunk->ResignPrimary(MakeError(v1::SHUTTING_DOWN, "the server is about to exit"));
}

void Engine::OnDurable(std::span<const StoreCompletion> completions) {
  struct Stored {
    uint64_t durable_length = 0;
    absl::Status status;
  };
  const Duration now = clock_.Monotonic();
  Pass pass(*this);
  on_store_thread_ = true;
  // One vote per chunk, however many of its batches the group held.
  absl::flat_hash_map<ChunkHandle, Stored> stored;
  for (const StoreCompletion& completion : completions) {
    if (completion.token != 0) continue;
    Stored& chunk = stored[completion.handle];
    if (completion.status.ok())
      chunk.durable_length = std::max(chunk.durable_length, completion.durable_length);
    else if (chunk.status.ok())
      chunk.status = completion.status;
  }
  for (const auto& [handle, change] : stored) {
    if (Chunk* chunk = Find(handle)) {
      if (!change.status.ok())
        turn_->Call([handle = handle, status = change.status] {
          LOG(WARNING) << "chunk=" << handle << " cannot store: " << status;
        });
      chunk->OnStored(change.durable_length, change.status, now);
      Watch(handle, *chunk);
    }
  }
  for (const StoreCompletion& completion : completions) {
    auto call = completion.token != 0 ? stored_calls_.extract(completion.token)
                                      : decltype(stored_calls_)::node_type();
    if (!call.empty()) std::move(call.mapped())(completion);
  }
}

void Engine::OnStoreFailed(const absl::Status& why) {
  store_failed_.store(true, std::memory_order_release);
  LOG(ERROR) << "nothing is stored here any more: " << why;
}

// The open ones need their master at once, the others with the next report.
void Engine::OnReplicasLost(std::span<const ChunkHandle> handles, const absl::Status& why) {
  {
    Pass pass(*this);
    on_store_thread_ = true;
    for (ChunkHandle handle : handles) {
      Chunk* chunk = Find(handle);
      if (chunk == nullptr) continue;
      turn_->Report({ChunkEvent::Kind::kReplicaGone, handle, chunk->epoch(), self_});
      chunk->Lose(why);
      Drop(handle, why);
    }
  }
  losses_.fetch_add(1, std::memory_order_acq_rel);
}

void Engine::OnReplicaDamaged(ChunkHandle handle, const std::string& why) {
  LOG(ERROR) << "chunk=" << handle << " is damaged here: " << why;
  Pass pass(*this);
  Chunk* chunk = Find(handle);
  turn_->Report({ChunkEvent::Kind::kReplicaBad, handle, chunk ? chunk->epoch() : Epoch(), self_});
  Drop(handle, MakeError(v1::REPLICA_DAMAGED, StrCat("chunk=", handle, ": ", why)));
}

void Engine::Tick() {
  Admit();
  const Duration now = clock_.Monotonic();
  Pass pass(*this);
  for (const auto& outlet : flush_later_) turn_->Flush(outlet);
  flush_later_.clear();
  absl::erase_if(watched_, [&](ChunkHandle handle) {
    mutex_.AssertHeld();
    Chunk* chunk = Find(handle);
    if (chunk != nullptr) chunk->Tick(now);
    return chunk == nullptr || !chunk->needs_tick();
  });
  if (now < next_idle_look_) return;
  next_idle_look_ =
      now + std::min<Duration>(std::chrono::seconds(1), options_.sequencer.idle_after / 4);
  for (auto& [handle, chunk] : chunks_) chunk->ReportIfIdle(now);
}

void Engine::GatherFor(std::shared_ptr<Outlet> outlet) {
  if (gathering_.empty()) background_.PostAfter(kGather, [this] { FlushGathered(); });
  for (const auto& known : gathering_)
    if (known == outlet) return;
  gathering_.push_back(std::move(outlet));
}

void Engine::FlushGathered() {
  std::vector<std::shared_ptr<Outlet>> outlets;
  {
    absl::MutexLock lock(&mutex_);
    outlets.swap(gathering_);
  }
  for (const auto& outlet : outlets) outlet->Flush();
}

void Engine::Admit() {
  const uint64_t unapplied = store_.usage().unapplied_bytes;
  const bool clients = unapplied <= options_.client_unapplied_bytes;
  const bool peers = unapplied <= options_.peer_unapplied_bytes;
  const bool clients_again = clients && !admits_clients_.exchange(clients);
  const bool peers_again = peers && !admits_peers_.exchange(peers);
  if (!clients) admits_clients_.store(false);
  if (!peers) admits_peers_.store(false);
  std::vector<std::shared_ptr<ClientSink>> client_sinks;
  std::vector<std::shared_ptr<VoteSink>> peer_sinks;
  {
    absl::MutexLock lock(&mutex_);
    if (clients_again)
      for (const auto& [stream, sink] : clients_) client_sinks.push_back(sink);
    if (peers_again) peer_sinks.assign(peers_.begin(), peers_.end());
  }
  for (const auto& sink : client_sinks) sink->ResumeReading();
  for (const auto& sink : peer_sinks) sink->ResumeReading();
}

}  // namespace appendfs
