#include "client/reader.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/interruption.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr uint64_t kPieceBytes = 1ull << 20;
constexpr uint64_t kFreshBytes = 1ull << 20;  // most that comes with a fresh answer
constexpr Duration kAskPrimary = std::chrono::seconds(1);
constexpr Duration kPrefetch = std::chrono::seconds(5);
constexpr Duration kFirstBackoff = std::chrono::milliseconds(2);
constexpr Duration kLongestBackoff = std::chrono::milliseconds(100);

std::string PrimaryAddress(const v1::Chunk& chunk) {
  for (const v1::ServerAddress& replica : chunk.replicas())
    if (replica.server_id() == chunk.primary_id()) return replica.address();
  return "";
}

// Is the file itself the reason, so that asking again is no use?
bool IsFinal(const absl::Status& status) {
  Reason reason = ReasonOf(status);
  return reason == v1::NO_ENTRY || reason == v1::IS_DIRECTORY || reason == v1::INVALID ||
         reason == v1::WRONG_CLUSTER || reason == v1::VERSION_MISMATCH;
}

}  // namespace

void Reader::SetPlan(const v1::FilePlan& plan) {
  absl::MutexLock lock(&mutex_);
  chunks_.Merge(0, plan);
}

std::optional<v1::Chunk> Reader::Tail() const {
  absl::MutexLock lock(&mutex_);
  const v1::Chunk* last = chunks_.last();
  if (last == nullptr || last->state() != v1::OPEN) return std::nullopt;
  return *last;
}

absl::Status Reader::Refresh(bool whole, Duration deadline) {
  uint32_t from = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (!whole) from = chunks_.last_index();
  }
  APPENDFS_ASSIGN_OR_RETURN(v1::FilePlan plan, shared_.plans.GetPlan(inode_, from, deadline));
  absl::MutexLock lock(&mutex_);
  chunks_.Merge(from, plan);
  return absl::OkStatus();
}

void Reader::Pause(Duration& backoff, Duration deadline) {
  Duration left = deadline - shared_.clock.Monotonic();
  SleepUnlessInterrupted(std::max(Duration::zero(), std::min(backoff, left)));
  backoff = std::min(backoff * 2, kLongestBackoff);
}

absl::StatusOr<uint64_t> Reader::Size(Duration deadline) {
  Duration backoff = kFirstBackoff;
  absl::Status error;
  while (true) {
    if (std::optional<v1::Chunk> tail = Tail()) {
      auto waiter = std::make_shared<PendingAnswer<TailLength>>();
      Duration until = std::min(deadline, shared_.clock.Monotonic() + kAskPrimary);
      shared_.chunks.AskLength(
          PrimaryAddress(*tail), ChunkHandle(tail->handle()), Epoch(tail->epoch()), until,
          [waiter](absl::StatusOr<TailLength> length) { waiter->Set(std::move(length)); });
      absl::StatusOr<TailLength> length = waiter->Take();
      if (length.ok() && !length->sealed)
        return known_->Raise(tail->base_offset() + length->length);
      error = length.status();
    }
    APPENDFS_RETURN_IF_ERROR(InterruptionStatus());
    absl::Status refreshed = Refresh(false, deadline);
    if (!refreshed.ok()) {
      if (IsFinal(refreshed)) return refreshed;
      error = refreshed;
    } else {
      absl::MutexLock lock(&mutex_);
      const v1::Chunk* last = chunks_.last();
      if (last == nullptr || last->state() == v1::SEALED || last->state() == v1::PARKED)
        return known_->Raise(chunks_.settled_end());
    }
    if (shared_.clock.Monotonic() >= deadline)
      return MakeError(
          v1::TIMED_OUT,
          StrCat("the end of inode=", inode_, " could not be confirmed: ",
                 error.ok() ? "its last chunk is being recovered" : FromAbsl(error.message())));
    Pause(backoff, deadline);
  }
}

absl::StatusOr<Buffer> Reader::Read(uint64_t offset, uint64_t length, Duration deadline) {
  if (length == 0) return Buffer();
  if (offset + length > known_->get()) {
    if (std::optional<Buffer> bytes = ReadAtTail(offset, length, deadline))
      return *std::move(bytes);
    if (offset + length > known_->get()) APPENDFS_RETURN_IF_ERROR(Size(deadline).status());
  }
  uint64_t end = std::min(offset + length, known_->get());
  if (offset >= end) return Buffer();
  return ReadKnown(offset, end - offset, deadline);
}

// The tail's bytes and its end in one round trip, if the read lies in the tail
// and its primary answers; otherwise nothing, but perhaps a better known size.
std::optional<Buffer> Reader::ReadAtTail(uint64_t offset, uint64_t length, Duration deadline) {
  std::optional<v1::Chunk> tail = Tail();
  if (!tail || offset < tail->base_offset() || length > kFreshBytes) return std::nullopt;
  auto waiter = std::make_shared<PendingAnswer<ReplicaReader::Fresh>>();
  Duration until = std::min(deadline, shared_.clock.Monotonic() + kAskPrimary);
  shared_.replicas.FetchFresh(
      *tail, offset - tail->base_offset(), static_cast<uint32_t>(length), until,
      [waiter](absl::StatusOr<ReplicaReader::Fresh> fresh) { waiter->Set(std::move(fresh)); });
  absl::StatusOr<ReplicaReader::Fresh> fresh = waiter->Take();
  if (!fresh.ok()) return std::nullopt;
  uint64_t size = known_->Raise(tail->base_offset() + fresh->committed_length);
  uint64_t wanted = offset >= size ? 0 : std::min(length, size - offset);
  if (fresh->bytes.size() < wanted) return std::nullopt;
  return fresh->bytes.Slice(0, wanted);
}

absl::StatusOr<Buffer> Reader::ReadKnown(uint64_t offset, uint64_t length, Duration deadline) {
  std::vector<std::shared_ptr<ReadaheadBlock>> fetch;
  {
    absl::MutexLock lock(&mutex_);
    last_read_ = shared_.clock.Monotonic();
    fetch = readahead_.OnRead(offset, length, known_->get());
  }
  for (auto& block : fetch) StartBlock(std::move(block));

  std::vector<Buffer> parts;
  const uint64_t end = offset + length;
  for (uint64_t at = offset; at < end;) {
    std::shared_ptr<ReadaheadBlock> block;
    {
      absl::MutexLock lock(&mutex_);
      block = readahead_.Find(at);
      if (block != nullptr) {
        AwaitUnlessInterrupted(mutex_, absl::Condition(&block->ready),
                               deadline - shared_.clock.Monotonic(), shared_from_this());
        if (!block->ready || !block->data.ok()) {
          readahead_.Drop(*block);
          block = nullptr;
        }
      }
    }
    if (block != nullptr) {
      parts.push_back(block->data->Slice(at - block->start, end - at));
    } else {
      // Up to where the next block may begin.
      uint64_t stop = std::min(end, (at / kReadaheadBlock + 1) * kReadaheadBlock);
      if (fetch.empty() && parts.empty()) stop = end;
      APPENDFS_ASSIGN_OR_RETURN(Buffer part, ReadDirect(at, stop - at, deadline));
      parts.push_back(std::move(part));
    }
    at += parts.back().size();
  }
  if (parts.size() == 1) return std::move(parts[0]);
  std::string all;
  all.reserve(length);
  for (const Buffer& part : parts) all.append(part.view());
  return Buffer::From(std::move(all));
}

absl::StatusOr<Buffer> Reader::ReadDirect(uint64_t offset, uint64_t length, Duration deadline) {
  Duration backoff = kFirstBackoff;
  absl::Status error;  // the last one that says more than that nobody answered
  while (true) {
    absl::StatusOr<std::vector<Piece>> pieces;
    {
      absl::MutexLock lock(&mutex_);
      pieces = chunks_.Cut(offset, length, known_->get(), kPieceBytes);
    }
    absl::Status failed = pieces.status();
    if (pieces.ok()) {
      auto waiter = std::make_shared<PendingAnswer<Buffer>>();
      shared_.replicas.Fetch(*std::move(pieces), deadline, [waiter](absl::StatusOr<Buffer> bytes) {
        waiter->Set(std::move(bytes));
      });
      absl::StatusOr<Buffer> bytes = waiter->Take();
      if (bytes.ok()) return bytes;
      failed = bytes.status();
    }
    APPENDFS_RETURN_IF_ERROR(InterruptionStatus());
    if (error.ok() || !IsTransient(failed)) error = failed;
    if (shared_.clock.Monotonic() >= deadline) return error;
    // Replicas move, chunks are sealed: look where the bytes are now.
    absl::Status refreshed = Refresh(/*whole=*/true, deadline);
    if (IsFinal(refreshed)) return refreshed;
    Pause(backoff, deadline);
  }
}

void Reader::StartBlock(std::shared_ptr<ReadaheadBlock> block) {
  absl::StatusOr<std::vector<Piece>> pieces;
  {
    absl::MutexLock lock(&mutex_);
    pieces = chunks_.Cut(block->start, block->end - block->start, known_->get(), kPieceBytes);
    if (!pieces.ok()) {
      block->data = pieces.status();
      block->ready = true;
      return;
    }
  }
  shared_.replicas.Fetch(*std::move(pieces), shared_.clock.Monotonic() + kPrefetch,
                         [self = shared_from_this(), block](absl::StatusOr<Buffer> bytes) {
                           absl::MutexLock lock(&self->mutex_);
                           block->data = std::move(bytes);
                           block->ready = true;
                         });
}

void Reader::DropIdleBlocks(Duration idle_since) {
  absl::MutexLock lock(&mutex_);
  if (last_read_ < idle_since) readahead_.Clear();
}

}  // namespace appendfs
