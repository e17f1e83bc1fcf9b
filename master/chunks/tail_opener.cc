#include "master/chunks/tail_opener.h"

#include <algorithm>
#include <utility>

#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kPlaceRetry = std::chrono::milliseconds(20);

// The first epoch of every chunk; the namespace gives it the same.
constexpr uint64_t kFirstEpoch = 1;

}  // namespace

TailOpener::Run* TailOpener::Find(InodeId inode) {
  auto it = runs_.find(inode);
  return it == runs_.end() ? nullptr : it->second.get();
}

void TailOpener::EraseIfOver(InodeId inode) {
  Run* run = Find(inode);
  if (!run || !run->waiters.empty()) return;
  // What is being made may be half there: see it through.
  if (run->state == State::kCreating || run->state == State::kAllocating) return;
  runs_.erase(inode);
}

void TailOpener::Open(const v1::OpenTailRequest& request, Duration deadline, Done done,
                      Duration now) {
  InodeId inode(request.inode());
  auto& run = runs_[inode];
  if (!run) {
    run = std::make_unique<Run>();
    run->inode = inode;
  }
  run->waiters.push_back({ClientId(request.client_id()), ChunkHandle(request.failed_handle()),
                          Epoch(request.failed_epoch()), request.failed_reason(), deadline,
                          std::move(done)});
  if (run->state == State::kIdle) Advance(*run, now);
  EraseIfOver(inode);
}

void TailOpener::OnChunkSettled(InodeId inode, Duration now) {
  Run* run = Find(inode);
  if (run && run->state == State::kIdle) Advance(*run, now);
  EraseIfOver(inode);
}

void TailOpener::Advance(Run& run, Duration now) {
  OpenChunk* chunk = host_.OpenChunkOf(run.inode);
  if (chunk) {
    run.state = State::kIdle;
    return AnswerOpen(run, *chunk);
  }
  if (run.waiters.empty()) return;
  run.state = State::kReading;
  host_.ReadInode(run.inode);
}

void TailOpener::AnswerOpen(Run& run, OpenChunk& chunk) {
  std::vector<Waiter> waiters = std::exchange(run.waiters, {});
  for (Waiter& waiter : waiters) {
    bool open = chunk.record.state() == v1::OPEN && !chunk.recovery;
    bool newer = chunk.handle() != waiter.failed_handle || chunk.epoch() > waiter.failed_epoch;
    if (open && newer) {
      if (host_.SessionIsLive(waiter.client)) {
        host_.Answer(std::move(waiter.done), chunk.record);
      } else {
        host_.Answer(std::move(waiter.done),
                     MakeError(v1::SESSION_EXPIRED,
                               StrCat("client ", waiter.client, ": its session has ended")));
      }
      continue;
    }
    const v1::Reason reason = waiter.failed_reason;
    run.waiters.push_back(std::move(waiter));
    bool full = !newer && (reason == v1::CHUNK_FULL || reason == v1::TOO_LARGE);
    host_.Recover(chunk, StrCat("a client reports: ", ReasonName(reason)), full);
  }
}

void TailOpener::OnInode(InodeId inode, absl::StatusOr<std::optional<v1::InodeRecord>> record,
                         Duration now) {
  Run* run = Find(inode);
  if (!run || run->state != State::kReading) return;
  if (!record.ok()) {
    Fail(*run, record.status());
  } else if (!record->has_value()) {
    Fail(*run, MakeError(v1::NO_ENTRY, StrCat("inode ", inode, ": no such file")));
  } else if ((*record)->attributes().type() != v1::REGULAR) {
    Fail(*run, MakeError(v1::INVALID, StrCat("inode ", inode, ": not a regular file")));
  } else if (OpenChunk* chunk = host_.OpenChunkOf(inode)) {
    run->state = State::kIdle;
    AnswerOpen(*run, *chunk);
  } else {
    run->record = *std::move(*record);
    run->state = State::kPlacing;
    Place(*run, now);
  }
  EraseIfOver(inode);
}

void TailOpener::OnHandles(Duration now) {
  std::vector<InodeId> placing;
  for (auto& [inode, run] : runs_)
    if (run->state == State::kPlacing) placing.push_back(inode);
  for (InodeId inode : placing) {
    if (Run* run = Find(inode)) Place(*run, now);
    EraseIfOver(inode);
  }
}

void TailOpener::Place(Run& run, Duration now) {
  if (run.waiters.empty()) return;
  run.retry = now + kPlaceRetry;
  absl::StatusOr<ChunkPlacement> placement = host_.Place();
  if (!placement.ok()) {
    run.obstacle = placement.status();
    if (HasReason(run.obstacle, v1::NO_SPACE)) Fail(run, run.obstacle);
    return;
  }
  ChunkHandle handle = host_.TakeHandle();
  if (!handle) return;

  v1::CreateChunksRequest::Item item;
  item.set_handle(handle.value());
  item.set_inode(run.inode.value());
  item.set_epoch(kFirstEpoch);
  item.set_base_offset(run.record.attributes().sealed_bytes());
  item.set_capacity(host_.chunk_bytes());
  item.set_primary_id(placement->primary.value());
  *item.mutable_memory() = run.record.memory();
  item.set_mtime_ns(run.record.attributes().mtime_ns());
  run.creation = std::make_unique<ChunkCreation>(handle, *std::move(placement));
  run.state = State::kCreating;
  host_.CreateReplicas(run.creation->placement(), std::move(item));
}

void TailOpener::OnCreateAnswer(InodeId inode, ChunkHandle handle, ServerId server,
                                const absl::Status& status, Duration now) {
  Run* run = Find(inode);
  if (!run || run->state != State::kCreating || run->creation->handle() != handle) return;
  run->creation->OnAnswer(server, status, now);
  Judge(*run, now);
  EraseIfOver(inode);
}

void TailOpener::Judge(Run& run, Duration now) {
  switch (run.creation->Evaluate(now)) {
    case ChunkCreation::State::kWaiting: return;
    case ChunkCreation::State::kCreated: {
      run.state = State::kAllocating;
      v1::AllocateChunkOp op;
      op.set_inode(run.inode.value());
      op.set_after_handle(run.record.tail_handle());
      for (ServerId member : run.creation->placement().members) op.add_members(member.value());
      op.set_primary_id(run.creation->placement().primary.value());
      op.set_capacity(host_.chunk_bytes());
      op.set_handle(run.creation->handle().value());
      return host_.Allocate(*run.creation, std::move(op));
    }
    case ChunkCreation::State::kFailed: break;
  }
  std::unique_ptr<ChunkCreation> failed = std::move(run.creation);
  host_.DiscardReplicas(*failed);
  run.state = State::kPlacing;
  size_t good = failed->placement().members.size() - failed->Failed().size();
  if (good < kWriteQuorum) {
    if (HasReason(failed->failure(), v1::NO_SPACE)) return Fail(run, failed->failure());
    run.obstacle = MakeError(v1::QUORUM_LOST,
                             StrCat("new chunk: created on ", good, " chunkservers, 2 are needed; ",
                                    FromAbsl(failed->failure().message())));
    run.retry = now + kPlaceRetry;
    return;
  }
  Place(run, now);
}

void TailOpener::OnAllocated(InodeId inode, ChunkHandle handle, const absl::Status& status,
                             Duration now) {
  Run* run = Find(inode);
  if (!run || run->state != State::kAllocating || run->creation->handle() != handle) return;
  std::unique_ptr<ChunkCreation> creation = std::move(run->creation);
  run->state = State::kIdle;
  if (status.ok()) {
    Advance(*run, now);
  } else {
    host_.DiscardReplicas(*creation);
    if (HasReason(status, v1::NO_ENTRY)) Fail(*run, status);
    run->obstacle = status;  // The file is not as it was read: with the next tick, from the start.
  }
  EraseIfOver(inode);
}

void TailOpener::OnTick(Duration now) {
  std::vector<InodeId> inodes;
  for (auto& [inode, run] : runs_) inodes.push_back(inode);
  for (InodeId inode : inodes) {
    Run* run = Find(inode);
    Expire(*run, now);
    if (run->state == State::kCreating)
      Judge(*run, now);
    else if (run->state == State::kPlacing && run->retry <= now)
      Place(*run, now);
    else if (run->state == State::kIdle)
      Advance(*run, now);
    EraseIfOver(inode);
  }
}

void TailOpener::Expire(Run& run, Duration now) {
  std::vector<Waiter> waiters = std::exchange(run.waiters, {});
  for (Waiter& waiter : waiters) {
    if (now < waiter.deadline) {
      run.waiters.push_back(std::move(waiter));
      continue;
    }
    absl::Status why = run.obstacle;
    OpenChunk* chunk = host_.OpenChunkOf(run.inode);
    if (chunk && chunk->recovery)
      why = MakeError(v1::QUORUM_LOST, StrCat("chunk ", chunk->handle(), " of inode ", run.inode,
                                              " recovers: ", chunk->recovery->Describe()));
    if (why.ok())
      why = MakeError(v1::TIMED_OUT, StrCat("inode ", run.inode, ": no chunk to append to yet"));
    host_.Answer(std::move(waiter.done), why);
  }
}

void TailOpener::Fail(Run& run, const absl::Status& status) {
  for (Waiter& waiter : std::exchange(run.waiters, {}))
    host_.Answer(std::move(waiter.done), status);
}

}  // namespace appendfs
