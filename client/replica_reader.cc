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
constexpr Duration kShunSilent = std::chrono::seconds(1);
constexpr Duration kShunBad = std::chrono::seconds(5);
constexpr Duration kReportAgain = std::chrono::seconds(1);
constexpr size_t kReportsKept = 1024;
constexpr uint64_t kSpreadBytes = 4ull << 20;  // neighbouring reads stay on one replica

absl::Status Verify(const ReadReply& reply, const std::string& address) {
  if (Crc32c(reply.payload.view()) == reply.crc32c) return absl::OkStatus();
  return MakeError(v1::CHECKSUM_MISMATCH,
                   StrCat("bytes from chunkserver ", address, " do not match their checksum"));
}

}  // namespace

// One piece on its way through its replicas.
struct ReplicaReader::Attempt {
  Piece piece;
  Duration deadline;
  std::vector<v1::ServerAddress> replicas;
  size_t tried = 0;
  absl::Status error;  // the worst so far
  Done done;
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
    auto attempt = std::make_shared<Attempt>();
    attempt->piece = pieces_[index];
    attempt->deadline = deadline_;
    attempt->replicas = reader_.Order(attempt->piece);
    attempt->done = [self = shared_from_this(), index](absl::StatusOr<Buffer> part) {
      self->OnPart(index, std::move(part));
    };
    reader_.Try(std::move(attempt));
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

std::vector<v1::ServerAddress> ReplicaReader::Order(const Piece& piece) {
  const v1::Chunk& chunk = piece.chunk;
  std::vector<v1::ServerAddress> replicas(chunk.replicas().begin(), chunk.replicas().end());
  if (replicas.empty()) return replicas;
  if (chunk.state() == v1::OPEN) {  // the primary knows the newest committed length
    std::stable_partition(replicas.begin(), replicas.end(), [&chunk](const auto& replica) {
      return replica.server_id() == chunk.primary_id();
    });
  } else {
    size_t first = (chunk.handle() + piece.offset / kSpreadBytes) % replicas.size();
    std::rotate(replicas.begin(), replicas.begin() + first, replicas.end());
  }
  std::erase_if(replicas, [](const auto& replica) { return replica.address().empty(); });
  Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  auto shunned = [&](ServerId server, ChunkHandle handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto found = shunned_until_.find({server, handle});
    return found != shunned_until_.end() && found->second > now;
  };
  auto welcome = [&](const v1::ServerAddress& replica) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ServerId server(replica.server_id());
    return !shunned(server, ChunkHandle()) && !shunned(server, ChunkHandle(chunk.handle()));
  };
  std::stable_partition(replicas.begin(), replicas.end(), welcome);
  return replicas;
}

void ReplicaReader::Try(std::shared_ptr<Attempt> attempt) {
  const Piece& piece = attempt->piece;
  Duration now = clock_.Monotonic();
  if (attempt->tried == attempt->replicas.size() || now >= attempt->deadline) {
    if (attempt->error.ok())
      attempt->error = MakeError(
          v1::UNREACHABLE, StrCat("no replica of chunk=", piece.chunk.handle(), " is reachable"));
    std::move(attempt->done)(attempt->error);
    return;
  }
  const v1::ServerAddress& replica = attempt->replicas[attempt->tried];
  v1::ReadRequest request;
  request.set_handle(piece.chunk.handle());
  request.set_offset(piece.offset);
  request.set_length(piece.length);
  if (piece.chunk.state() != v1::SEALED) {
    request.set_known_length(piece.known_length);
    request.set_epoch(piece.chunk.epoch());
  }
  chunks_.Read(
      replica.address(), request, std::min(attempt->deadline, now + kAttempt),
      [this, attempt](absl::StatusOr<ReadReply> reply) { OnReply(attempt, std::move(reply)); });
}

void ReplicaReader::OnReply(std::shared_ptr<Attempt> attempt, absl::StatusOr<ReadReply> reply) {
  const Piece& piece = attempt->piece;
  const v1::ServerAddress& replica = attempt->replicas[attempt->tried++];
  ChunkHandle handle(piece.chunk.handle());
  ServerId server(replica.server_id());
  absl::Status error = reply.ok() ? Verify(*reply, replica.address()) : reply.status();
  if (error.ok() && reply->payload.size() < piece.length) {
    // Honest, but behind what is known to be committed.
    error = MakeError(v1::STALE_EPOCH, StrCat("chunkserver ", replica.address(), " has only ",
                                              reply->committed_length, " bytes of chunk=", handle));
  } else if (error.ok()) {
    std::move(attempt->done)(reply->payload.Slice(0, piece.length));
    return;
  } else {
    NoteBad(handle, server, ReasonOf(error));
  }
  LOG(WARNING) << "read failed, trying elsewhere: chunk=" << handle << " server=" << server
               << " offset=" << piece.offset << ": " << error.message();
  attempt->error = error;
  Try(std::move(attempt));
}

void ReplicaReader::NoteBad(ChunkHandle handle, ServerId server, Reason reason) {
  bool silent = reason == v1::UNREACHABLE || reason == v1::TIMED_OUT;
  bool bad = reason == v1::CHECKSUM_MISMATCH || reason == v1::UNKNOWN_CHUNK ||
             reason == v1::REPLICA_DAMAGED;
  if (!silent && !bad) return;
  Duration now = clock_.Monotonic();
  {
    absl::MutexLock lock(&mutex_);
    if (shunned_until_.size() > kReportsKept) shunned_until_.clear();
    if (reported_.size() > kReportsKept) reported_.clear();
    if (silent) shunned_until_[{server, ChunkHandle()}] = now + kShunSilent;
    if (bad) shunned_until_[{server, handle}] = now + kShunBad;
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
