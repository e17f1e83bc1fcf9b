#include "chunkserver/engine/conformer.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "common/crc32c.h"
#include "common/planted.h"
#include "common/str_cat.h"
#include "common/wait.h"

namespace appendfs {

// Waits until no other command works on the chunk.
class Conformer::Turn {
 public:
  Turn(Conformer& owner, ChunkHandle handle) : owner_(owner), handle_(handle) {
    absl::MutexLock lock(&owner_.mutex_);
    auto free = [this] {
      owner_.mutex_.AssertHeld();
      return !owner_.busy_.contains(handle_);
    };
    Await(owner_.mutex_, absl::Condition(&free), Duration::max());
    owner_.busy_.insert(handle_);
  }
  ~Turn() {
    absl::MutexLock lock(&owner_.mutex_);
    owner_.busy_.erase(handle_);
  }

 private:
  Conformer& owner_;
  const ChunkHandle handle_;
};

Conformer::Conformer(Engine& engine, ChunkStore& store, ChunkFetcher& fetcher)
    : engine_(engine), store_(store), fetcher_(fetcher) {}

absl::StatusOr<uint32_t> Conformer::Conform(ConformCommand command) {
  command.identity.capacity = std::max<uint64_t>(command.length, 1);
  Turn turn(*this, command.identity.handle);
  return ConformLocked(command);
}

absl::StatusOr<uint32_t> Conformer::ConformLocked(const ConformCommand& command) {
  const ChunkHandle handle = command.identity.handle;
  absl::StatusOr<ReplicaState> state = store_.State(handle);
  if (!state.ok() && !HasReason(state.status(), v1::UNKNOWN_CHUNK)) return state.status();
  if (!state.ok() || state->damaged) {
    if (command.seal) return Rebuild(command);
    if (state.ok())
      return MakeError(v1::REPLICA_DAMAGED, StrCat("chunk=", handle, ": ", state->damage));
    APPENDFS_RETURN_IF_ERROR(CreateEmpty(command));
    return ConformPresent(command, 0);
  }
  if (command.epoch < state->epoch)
    return MakeError(v1::STALE_EPOCH, StrCat("chunk=", handle, " has promised epoch=", state->epoch,
                                             ", not ", command.epoch));
  if (state->sealed) {
    // Asked again, or found to differ from what the others hold.
    if (state->durable_length == command.length) {
      absl::StatusOr<uint32_t> crc = store_.PrefixCrc32c(handle, command.length);
      if (crc.ok() && (!command.check_crc || *crc == command.crc32c)) return crc;
    }
    return Replace(command);
  }

  // Nothing of an older epoch gets in from here on.
  CountDown fenced;
  absl::StatusOr<ReplicaState> promised;
  engine_.Fence(handle, command.epoch, [&](absl::StatusOr<ReplicaState> now) {
    promised = std::move(now);
    fenced.Count();
  });
  fenced.Wait();
  if (!promised.ok()) return promised.status();
  const uint64_t held = promised->durable_length;
  if (command.check_crc && held >= command.length) {
    absl::StatusOr<uint32_t> crc = store_.PrefixCrc32c(handle, command.length);
    if (!crc.ok() || *crc != command.crc32c) {
      LOG(WARNING) << "chunk=" << handle << " epoch=" << command.epoch << " differs from its first "
                   << command.length << " bytes elsewhere; copying it anew";
      return Replace(command);
    }
  }
  return ConformPresent(command, held);
}

// The replica is open, stands at `held` and has promised the epoch.
absl::StatusOr<uint32_t> Conformer::ConformPresent(const ConformCommand& command, uint64_t held) {
  const ChunkHandle handle = command.identity.handle;
  if (held < command.length) {
    absl::Status status = AppendMissing(command, held);
    if (!status.ok()) {
      engine_.Reload(handle);
      return status;
    }
  }
  absl::StatusOr<uint32_t> crc = store_.PrefixCrc32c(handle, command.length);
  if (!crc.ok()) return crc.status();
  if (command.check_crc && *crc != command.crc32c) {
    LOG(WARNING) << "chunk=" << handle << " epoch=" << command.epoch << " had " << held
                 << " bytes that do not fit what follows elsewhere; copying it anew";
    return Replace(command);
  }
  const uint64_t end = PLANTED(kGrowPastSealed) ? std::max(held, command.length) : command.length;
  absl::Status status = ApplyAndWait(
      ConformReplica{handle, command.epoch, end, command.seal, command.mtime_ns, command.memory});
  engine_.Reload(handle);
  if (!status.ok()) return status;
  LOG(INFO) << "chunk=" << handle << " epoch=" << command.epoch << " conformed to "
            << command.length << " bytes, had " << held << (command.seal ? ", sealed" : "");
  return crc;
}

absl::Status Conformer::CreateEmpty(const ConformCommand& command) {
  return ApplyAndWait(CreateReplica{command.identity, command.epoch, command.mtime_ns, {}});
}

absl::Status Conformer::AppendMissing(const ConformCommand& command, uint64_t held) {
  return FetchAll(command, held, [&](uint64_t offset, const FetchedBytes& bytes) {
    AppendBatch batch;
    batch.handle = command.identity.handle;
    batch.epoch = command.epoch;
    batch.offset = offset;
    batch.payload = bytes.payload;
    batch.crc32c = bytes.crc32c;
    batch.mtime_ns = command.mtime_ns;
    return ApplyAndWait(std::move(batch));
  });
}

// What is held is whole, and not what was agreed on: the copy of a recovery that
// was given up, say. Under the epoch promised now it would pass for the agreed
// bytes, and the store does not copy over what is whole: it is deleted first.
absl::StatusOr<uint32_t> Conformer::Replace(const ConformCommand& command) {
  const ChunkHandle handle = command.identity.handle;
  absl::StatusOr<ReplicaState> state = store_.State(handle);
  if (!command.sources.empty() && state.ok() && !state->damaged) {
    CountDown deleted;
    absl::Status status;
    engine_.Delete(handle, [&](absl::Status outcome) {
      status = std::move(outcome);
      deleted.Count();
    });
    deleted.Wait();
    if (!status.ok()) return status;
  }
  return Rebuild(command);
}

absl::StatusOr<uint32_t> Conformer::Rebuild(const ConformCommand& command) {
  const ChunkHandle handle = command.identity.handle;
  if (!command.seal)
    return MakeError(v1::REPLICA_DAMAGED, StrCat("chunk=", handle, " can only be rebuilt sealed"));
  if (command.sources.empty() && command.length > 0)
    return MakeError(v1::UNKNOWN_CHUNK, StrCat("chunk=", handle, " has no source to copy it from"));
  APPENDFS_ASSIGN_OR_RETURN(std::unique_ptr<ChunkStore::Import> import,
                            store_.BeginImport(command.identity, command.epoch));
  uint32_t crc = 0;
  APPENDFS_RETURN_IF_ERROR(FetchAll(command, 0, [&](uint64_t, const FetchedBytes& bytes) {
    crc = CombineCrc32c(crc, bytes.crc32c, bytes.payload.size());
    return import->Write(bytes.payload.view());
  }));
  if (command.check_crc && crc != command.crc32c)
    return MakeError(v1::CHECKSUM_MISMATCH,
                     StrCat("chunk=", handle, ": the copy does not match the chunk's checksum"));
  APPENDFS_RETURN_IF_ERROR(import->Finish(command.length, crc, command.mtime_ns, command.memory));
  engine_.Reload(handle);
  LOG(INFO) << "chunk=" << handle << " epoch=" << command.epoch << " rebuilt with "
            << command.length << " bytes, sealed";
  return crc;
}

absl::Status Conformer::FetchAll(const ConformCommand& command, uint64_t from, const Taker& take) {
  absl::Status last = MakeError(
      v1::UNREACHABLE, StrCat("chunk=", command.identity.handle, ": no source to fetch from"));
  size_t source = 0, failures = 0;
  while (from < command.length) {
    if (failures >= command.sources.size()) return last;
    const std::string& address = command.sources[source];
    const auto wanted =
        static_cast<uint32_t>(std::min<uint64_t>(command.length - from, ChunkFetcher::kMaxBytes));
    absl::StatusOr<FetchedBytes> bytes =
        fetcher_.Fetch(address, command.identity.handle, command.epoch, from, wanted);
    if (bytes.ok() && (bytes->payload.empty() || bytes->payload.size() > wanted))
      bytes = MakeError(v1::INVALID, StrCat(address, " gave ", bytes->payload.size(), " bytes at ",
                                            from, " of chunk=", command.identity.handle));
    if (bytes.ok() && Crc32c(bytes->payload.view()) != bytes->crc32c)
      bytes = MakeError(v1::CHECKSUM_MISMATCH,
                        StrCat("bytes of chunk=", command.identity.handle, " from ", address));
    if (!bytes.ok()) {
      last = bytes.status();
      LOG(WARNING) << "chunk=" << command.identity.handle << " fetch from " << address << ": "
                   << last;
      source = (source + 1) % command.sources.size();
      ++failures;
      continue;
    }
    APPENDFS_RETURN_IF_ERROR(take(from, *bytes));
    from += bytes->payload.size();
    failures = 0;
  }
  return absl::OkStatus();
}

absl::Status Conformer::ApplyAndWait(StoreChange change) {
  CountDown applied;
  absl::Status status;
  engine_.Apply(std::move(change), [&](absl::Status outcome) {
    status = std::move(outcome);
    applied.Count();
  });
  applied.Wait();
  return status;
}

}  // namespace appendfs
