#include "client/replica_reader.h"

#include <glog/logging.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr size_t kParallel = 8;                         // pieces of one range under way
constexpr Duration kAttempt = std::chrono::seconds(2);  // then the next replica
constexpr Duration kReportAgain = std::chrono::seconds(1);
constexpr size_t kReportsKept = 1024;

absl::Status Verify(const ReadReply& reply, const std::string& address) {
  if (Crc32c(reply.payload.view()) == reply.crc32c) return absl::OkStatus();
  return MakeError(v1::CHECKSUM_MISMATCH,
                   StrCat("bytes from chunkserver ", address, " do not match their checksum"));
}

}  // namespace

// One piece on its way through its replicas.
struct ReplicaReader::PieceRead {
  PieceRead(Piece what, Duration until, std::vector<v1::ServerAddress> in_order, Done then)
      : piece(std::move(what)),
        deadline(until),
        replicas(std::move(in_order)),
        done(std::move(then)) {}

  const Piece piece;
  const Duration deadline;
  const std::vector<v1::ServerAddress> replicas;  // in the order they are asked

  absl::Mutex mutex;
  size_t asked ABSL_GUARDED_BY(mutex) = 0;
  size_t unanswered ABSL_GUARDED_BY(mutex) = 0;
  absl::Status error ABSL_GUARDED_BY(mutex);  // the last one
  Done done ABSL_GUARDED_BY(mutex);           // null: it has been told
};

// Pieces fetched side by side and joined.
class ReplicaReader::Range : public std::enable_shared_from_this<ReplicaReader::Range> {
 public:
  Range(ReplicaReader& reader, std::vector<Piece> pieces, Duration deadline, Done done)
      : reader_(reader),
        deadline_(deadline),
        pieces_(std::move(pieces)),
        parts_(pieces_.size()),
        done_(std::move(done)) {}

  void StartNext() {
    size_t index;
    {
      absl::MutexLock lock(&mutex_);
      if (next_ == pieces_.size() || !error_.ok()) return;
      index = next_++;
      ++under_way_;
    }
    const Piece& piece = pieces_[index];
    reader_.AskNext(std::make_shared<PieceRead>(
        piece, deadline_, reader_.order_.Order(piece),
        [self = shared_from_this(), index](absl::StatusOr<Buffer> part) {
          self->OnPart(index, std::move(part));
        }));
  }

 private:
  void OnPart(size_t index, absl::StatusOr<Buffer> part) {
    bool last;
    {
      absl::MutexLock lock(&mutex_);
      if (part.ok())
        parts_[index] = *std::move(part);
      else if (error_.ok())
        error_ = part.status();
      --under_way_;
      last = under_way_ == 0 && !answered_ && (next_ == pieces_.size() || !error_.ok());
      if (last) answered_ = true;
    }
    if (last)
      Answer();
    else
      StartNext();
  }

  void Answer() {
    absl::StatusOr<Buffer> result;
    Done done;
    {
      absl::MutexLock lock(&mutex_);
      result = Join();
      done = std::move(done_);
    }
    std::move(done)(std::move(result));
  }

  absl::StatusOr<Buffer> Join() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!error_.ok()) return error_;
    if (parts_.size() == 1) return std::move(parts_[0]);
    std::string all;
    size_t bytes = 0;
    for (const Buffer& part : parts_) bytes += part.size();
    all.reserve(bytes);
    for (const Buffer& part : parts_) all.append(part.view());
    return Buffer::From(std::move(all));
  }

  ReplicaReader& reader_;
  const Duration deadline_;
  const std::vector<Piece> pieces_;
  absl::Mutex mutex_;
  std::vector<Buffer> parts_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  Done done_ ABSL_GUARDED_BY(mutex_);
};

void ReplicaReader::Fetch(std::vector<Piece> pieces, Duration deadline, Done done) {
  if (pieces.empty()) {
    std::move(done)(Buffer());
    return;
  }
  size_t starts = std::min(pieces.size(), kParallel);
  auto range = std::make_shared<Range>(*this, std::move(pieces), deadline, std::move(done));
  for (size_t i = 0; i < starts; ++i) range->StartNext();
}

void ReplicaReader::AskNext(const std::shared_ptr<PieceRead>& read) {
  const Piece& piece = read->piece;
  const Duration now = clock_.Monotonic();
  size_t index = 0;
  Done failed;
  absl::Status error;
  {
    absl::MutexLock lock(&read->mutex);
    if (read->done == nullptr) return;
    if (read->asked < read->replicas.size() && now < read->deadline) {
      index = read->asked++;
      ++read->unanswered;
    } else if (read->unanswered > 0) {
      return;  // another answer may still be good
    } else {
      failed = std::exchange(read->done, nullptr);
      error = read->error;
    }
  }
  if (failed) {
    if (error.ok())
      error = MakeError(v1::UNREACHABLE,
                        StrCat("no replica of chunk=", piece.chunk.handle(), " is reachable"));
    return std::move(failed)(error);
  }
  const v1::ServerAddress& replica = read->replicas[index];
  v1::ReadRequest request;
  request.set_handle(piece.chunk.handle());
  request.set_offset(piece.offset);
  request.set_length(piece.length);
  if (piece.chunk.state() != v1::SEALED) {
    request.set_known_length(piece.known_length);
    request.set_epoch(piece.chunk.epoch());
  }
  order_.Begin(ServerId(replica.server_id()));
  if (index + 1 < read->replicas.size()) Watch(read, index + 1);
  chunks_.Read(replica.address(), request, std::min(read->deadline, now + kAttempt),
               [this, read, index](absl::StatusOr<ReadReply> reply) {
                 OnReply(read, index, std::move(reply));
               });
}

void ReplicaReader::OnReply(const std::shared_ptr<PieceRead>& read, size_t index,
                            absl::StatusOr<ReadReply> reply) {
  const Piece& piece = read->piece;
  const v1::ServerAddress& replica = read->replicas[index];
  const ChunkHandle handle(piece.chunk.handle());
  const ServerId server(replica.server_id());
  order_.End(server);
  absl::Status error = reply.ok() ? Verify(*reply, replica.address()) : reply.status();
  if (!error.ok()) {
    NoteBad(handle, server, ReasonOf(error));
  } else if (reply->payload.size() < piece.length) {
    // Honest, but behind what is known to be committed.
    error = MakeError(v1::STALE_EPOCH, StrCat("chunkserver ", replica.address(), " has only ",
                                              reply->committed_length, " bytes of chunk=", handle));
  }
  Done done;
  {
    absl::MutexLock lock(&read->mutex);
    --read->unanswered;
    if (error.ok())
      done = std::exchange(read->done, nullptr);
    else
      read->error = error;
  }
  if (!error.ok()) {
    LOG(WARNING) << "read failed, trying elsewhere: chunk=" << handle << " server=" << server
                 << " offset=" << piece.offset << ": " << error.message();
    return AskNext(read);
  }
  if (done) std::move(done)(reply->payload.Slice(0, piece.length));
}

void ReplicaReader::Watch(const std::shared_ptr<PieceRead>& read, size_t asked) {
  absl::MutexLock lock(&mutex_);
  watched_.push_back({clock_.Monotonic() + kSlow, read, asked});
  if (watched_.size() == 1) timers_.PostAfter(kSlow, [this] { AskSlowOnesElsewhere(); });
}

void ReplicaReader::AskSlowOnesElsewhere() {
  std::vector<std::shared_ptr<PieceRead>> slow;
  {
    const Duration now = clock_.Monotonic();
    absl::MutexLock lock(&mutex_);
    for (; !watched_.empty(); watched_.pop_front()) {
      const Watched& front = watched_.front();
      std::shared_ptr<PieceRead> read = front.read.lock();
      if (read == nullptr) continue;  // answered
      absl::MutexLock lock_read(&read->mutex);
      if (read->done == nullptr || read->asked != front.asked) continue;
      if (front.slow_at > now) break;
      slow.push_back(std::move(read));
    }
    if (!watched_.empty())
      timers_.PostAfter(watched_.front().slow_at - now, [this] { AskSlowOnesElsewhere(); });
  }
  for (const auto& read : slow) {
    size_t asked;
    {
      absl::MutexLock lock(&read->mutex);
      asked = read->asked;
    }
    order_.ShunSilent(ServerId(read->replicas[asked - 1].server_id()));
    AskNext(read);
  }
}

void ReplicaReader::NoteBad(ChunkHandle handle, ServerId server, Reason reason) {
  bool silent = reason == v1::UNREACHABLE || reason == v1::TIMED_OUT;
  bool bad = reason == v1::CHECKSUM_MISMATCH || reason == v1::UNKNOWN_CHUNK ||
             reason == v1::REPLICA_DAMAGED;
  if (!silent && !bad) return;
  if (silent) order_.ShunSilent(server);
  if (bad) order_.ShunBad(server, handle);
  Duration now = clock_.Monotonic();
  {
    absl::MutexLock lock(&mutex_);
    if (reported_.size() > kReportsKept) reported_.clear();
    Duration& last = reported_[{handle, server, reason}];
    if (last != Duration::zero() && now - last < kReportAgain) return;
    last = now;
  }
  report_(handle, server, reason == v1::REPLICA_DAMAGED ? v1::CHECKSUM_MISMATCH : reason);
}

void ReplicaReader::FetchFresh(const v1::Chunk& chunk, uint64_t offset_in_chunk, uint32_t length,
                               Duration deadline, FreshDone done) {
  std::string address;
  for (const v1::ServerAddress& replica : chunk.replicas())
    if (replica.server_id() == chunk.primary_id()) address = replica.address();
  if (address.empty()) {
    std::move(done)(MakeError(
        v1::UNREACHABLE, StrCat("the primary of chunk=", chunk.handle(), " has no address now")));
    return;
  }
  v1::ReadRequest request;
  request.set_handle(chunk.handle());
  request.set_offset(offset_in_chunk);
  request.set_length(length);
  request.set_epoch(chunk.epoch());
  request.set_fresh(true);
  chunks_.Read(address, request, std::min(deadline, clock_.Monotonic() + kAttempt),
               [address, done = std::move(done)](absl::StatusOr<ReadReply> reply) mutable {
                 absl::Status error = reply.ok() ? Verify(*reply, address) : reply.status();
                 if (!error.ok())
                   std::move(done)(error);
                 else
                   std::move(done)(Fresh{reply->committed_length, std::move(reply->payload)});
               });
}

}  // namespace appendfs
