#include "tests/sim/history.h"

#include <algorithm>
#include <cstdio>

#include "chunkserver/store/store_core.h"
#include "master/namespace/reads.h"
#include "tests/sim/master_node.h"
#include "tests/sim/server_node.h"

namespace appendfs::sim {

std::string History::Bytes(const RecordId& id, size_t padding) {
  std::string line = StrCat("p", id.process, " f", id.file, " n", id.number, " ");
  uint32_t x = id.process * 2654435761u + id.file * 40503u + id.number * 97u + 1;
  for (size_t i = 0; i < padding; ++i) {
    x = x * 1664525u + 1013904223u;
    line += static_cast<char>('a' + (x >> 24) % 26);
  }
  return line + "\n";
}

std::string History::Name(const RecordId& id) const {
  return StrCat("record p", id.process, " f", id.file, " n", id.number,
                " (inode=", files_.at(id.file).inode, ")");
}

void History::Began(const RecordId& id, std::string bytes) {
  records_[id] = {std::move(bytes), std::nullopt};
}

void History::Answered(const RecordId& id, const absl::StatusOr<FileOffset>& outcome) {
  Record& record = records_.at(id);
  Kernel& kernel = world_.kernel;
  if (record.outcome) return kernel.Fail(StrCat(Name(id), " was answered twice"));
  record.outcome = outcome;
  if (!outcome.ok()) {
    kernel.counts[StrCat("refused ", ReasonName(ReasonOf(outcome.status())))]++;
    kernel.Trace("answer: ", Name(id), " ", outcome.status().message());
    return;
  }
  ++acknowledgements_;
  const uint64_t offset = outcome->bytes();
  const uint64_t end = offset + record.bytes.size();
  kernel.Trace("acknowledged: ", Name(id), " at ", offset, "-", end);
  File& file = files_[id.file];
  auto next = file.at.lower_bound(offset);
  if (next != file.at.end() && next->first < end)
    kernel.Fail(StrCat(Name(id), " was acknowledged over ", Name(next->second)));
  if (next != file.at.begin()) {
    auto before = std::prev(next);
    if (before->first + records_.at(before->second).bytes.size() > offset)
      kernel.Fail(StrCat(Name(id), " was acknowledged over ", Name(before->second)));
  }
  file.at[offset] = id;
  file.acknowledged = std::max(file.acknowledged, end);
  if (file.seen.size() > offset &&
      file.seen.substr(offset, record.bytes.size()) !=
          record.bytes.substr(0, std::min(file.seen.size(), end) - offset))
    kernel.Fail(StrCat(Name(id), " was acknowledged where a reader saw something else"));
  // Its neighbours of the same writer.
  if (id.number > 0) {
    for (auto at = records_.find(id); at != records_.begin();) {
      --at;
      if (at->first.process != id.process || at->first.file != id.file) break;
      if (!at->second.outcome || !at->second.outcome->ok()) continue;
      if (**at->second.outcome > *outcome)
        kernel.Fail(StrCat(Name(id), " was acknowledged before ", Name(at->first)));
      break;
    }
  }
  if (kernel.Chance(0.15)) CheckDurable(id, offset);
}

// On how many disks would it be if the power failed everywhere now?
void History::CheckDurable(const RecordId& id, uint64_t offset) {
  const std::string& bytes = records_.at(id).bytes;
  auto plan = GetPlan(world_.master->tables(), files_.at(id.file).inode, 0);
  if (!plan.ok()) return world_.kernel.Fail(StrCat("no plan: ", plan.status().message()));
  const v1::Chunk* chunk = nullptr;
  for (const v1::Chunk& candidate : plan->chunks())
    if (candidate.base_offset() <= offset) chunk = &candidate;
  if (chunk == nullptr) return world_.kernel.Fail(StrCat(Name(id), " has no chunk"));
  int found = 0, harmed = 0;
  std::string where;
  SimClock clock(world_.kernel, {});
  for (const auto& server : world_.servers) {
    if (server->disk_harmed) {
      ++harmed;
      continue;
    }
    std::unique_ptr<SimFileSystem> disk = server->disk.DurableCopy();
    StoreOptions options;
    options.segment_bytes = 32 << 10;
    options.max_journal_bytes = 160 << 10;
    auto core = StoreCore::Open(*disk, clock, "/data", options);
    if (!core.ok()) {
      where += StrCat(" ", server->host.name, ": ", core.status().message());
      continue;
    }
    auto read = (*core)->Read(ChunkHandle(chunk->handle()), offset - chunk->base_offset(),
                              static_cast<uint32_t>(bytes.size()), false);
    if (read.ok() && read->payload.view() == bytes)
      ++found;
    else
      where += StrCat(" ", server->host.name, ": ",
                      read.ok() ? StrCat("other bytes, ", read->durable_length, " durable")
                                : std::string(read.status().message()));
  }
  world_.kernel.counts["durability checks"]++;
  if (found < kWriteQuorum - std::min(harmed, 1))
    world_.kernel.Fail(StrCat(Name(id), " is acknowledged and durable on ", found, " disks: chunk=",
                              chunk->handle(), " offset ", offset - chunk->base_offset(), where));
}

void History::SawSize(uint32_t file, uint64_t size, uint64_t at_least, const std::string& who) {
  if (size < at_least)
    world_.kernel.Fail(StrCat(who, " was told that file ", file, " (inode=", files_[file].inode,
                              ") has ", size, " bytes, after ", at_least, " were known"));
  files_[file].fresh = std::max(files_[file].fresh, size);
}

void History::Saw(uint32_t number, uint64_t offset, std::string_view bytes,
                  const std::string& who) {
  File& file = files_[number];
  std::string& seen = file.seen;
  const uint64_t both = std::min(seen.size(), offset + bytes.size());
  if (offset < both &&
      bytes.substr(0, both - offset) != std::string_view(seen).substr(offset, both - offset))
    return world_.kernel.Fail(StrCat(who, " sees other bytes of file ", number, " (inode=",
                                     file.inode, ") from ", offset, " on than were seen before"));
  if (offset > seen.size() || offset + bytes.size() <= seen.size()) return;
  const uint64_t from = seen.size();
  seen.append(bytes.substr(seen.size() - offset));
  auto at = file.at.upper_bound(from);
  if (at != file.at.begin()) --at;
  for (; at != file.at.end() && at->first < seen.size(); ++at) {
    const std::string& record = records_.at(at->second).bytes;
    const uint64_t length = std::min<uint64_t>(record.size(), seen.size() - at->first);
    if (std::string_view(seen).substr(at->first, length) != record.substr(0, length))
      world_.kernel.Fail(StrCat(who, " sees something else at ", at->first, " of file ", number,
                                " than ", Name(at->second)));
  }
}

void History::CheckReplicas() {
  struct Found {
    ServerNode* server;
    ReplicaState state;
  };
  std::map<ChunkHandle, std::vector<Found>> chunks;
  int down = 0;
  for (const auto& server : world_.servers) {
    if (server->store() == nullptr || server->disk_harmed) {
      ++down;
      continue;
    }
    for (ReplicaState& state : server->store()->List(ChunkHandle(), 10000))
      if (!state.damaged) chunks[state.identity.handle].push_back({server.get(), state});
  }
  for (const auto& [handle, found] : chunks) {
    uint64_t committed = 0;
    std::string longest;
    bool sealed = false;
    for (const Found& replica : found) {
      sealed |= replica.state.sealed;
      committed = std::max(committed, replica.state.committed_length);
      auto read = replica.server->store()->Fetch(
          handle, 0,
          static_cast<uint32_t>(
              std::min(replica.state.committed_length, replica.state.durable_length)));
      if (!read.ok()) continue;
      const std::string_view bytes = read->payload.view();
      const size_t both = std::min(bytes.size(), longest.size());
      if (bytes.substr(0, both) != std::string_view(longest).substr(0, both))
        return world_.kernel.Fail(StrCat("chunk=", handle, ": ", replica.server->host.name,
                                         " shows other committed bytes than another replica"));
      if (bytes.size() > longest.size()) longest = bytes;
    }
    if (committed == 0 || sealed) continue;
    int holders = down;
    for (const Found& replica : found) holders += replica.state.durable_length >= committed;
    auto record = GetChunk(world_.master->tables(), handle);
    if (holders < kWriteQuorum && record.ok() && record->has_value())
      world_.kernel.Fail(StrCat("chunk=", handle, ": ", committed,
                                " bytes are shown as committed, and durable on ", holders,
                                " servers"));
  }
}

void History::CheckFile(uint32_t number, const std::string& content) {
  File& file = files_[number];
  Kernel& kernel = world_.kernel;
  if (content.substr(0, file.seen.size()) != file.seen)
    kernel.Fail(StrCat("file ", number, " (inode=", file.inode,
                       "): what readers saw is not how it begins"));
  std::map<RecordId, uint64_t> found;
  std::map<uint32_t, uint32_t> last;
  for (uint64_t offset = 0; offset < content.size();) {
    const size_t end = content.find('\n', offset);
    RecordId id;
    auto at = records_.end();
    if (end != std::string::npos && std::sscanf(content.c_str() + offset, "p%u f%u n%u ",
                                                &id.process, &id.file, &id.number) == 3)
      at = records_.find(id);
    if (at == records_.end() || content.compare(offset, end + 1 - offset, at->second.bytes) != 0)
      return kernel.Fail(StrCat("file ", number, " (inode=", file.inode, "): no record at ", offset,
                                ": ", content.substr(offset, 40)));
    if (id.file != number) kernel.Fail(StrCat(Name(id), " is in file ", number));
    if (!found.emplace(id, offset).second)
      kernel.Fail(StrCat(Name(id), " is in the file twice, at ", found[id], " and at ", offset));
    const auto& outcome = at->second.outcome;
    if (outcome && !outcome->ok() && ReasonOf(outcome->status()) != v1::IN_DOUBT)
      kernel.Fail(StrCat(Name(id), " is in the file at ", offset,
                         ", but was refused: ", outcome->status().message()));
    auto [before, first] = last.try_emplace(id.process, id.number);
    if (!first && before->second > id.number)
      kernel.Fail(StrCat(Name(id), " comes after n", before->second, " of the same writer"));
    before->second = std::max(before->second, id.number);
    offset = end + 1;
  }
  for (const auto& [offset, id] : file.at) {
    auto there = found.find(id);
    if (there == found.end())
      kernel.Fail(StrCat(Name(id), " was acknowledged at ", offset, " and is lost; the file has ",
                         content.size(), " bytes"));
    else if (there->second != offset)
      kernel.Fail(StrCat(Name(id), " was acknowledged at ", offset, " and is at ", there->second));
  }
}

std::string History::Unhealed() {
  std::string problem;
  (void)ScanChunks(world_.master->tables(), [&](const v1::ChunkRecord& record) {
    const v1::Chunk& chunk = record.chunk();
    if (chunk.state() == v1::RECOVERING) {
      problem = StrCat("chunk=", chunk.handle(), " is still being recovered");
      return false;
    }
    if (chunk.state() != v1::SEALED) return true;
    const ChunkHandle handle(chunk.handle());
    int good = 0;
    for (const auto& server : world_.servers) {
      auto state = server->store()->State(handle);
      if (!state.ok() || state->damaged || !state->sealed) continue;
      auto crc = server->store()->PrefixCrc32c(handle, state->durable_length);
      if (state->durable_length == chunk.length() && crc.ok() && *crc == chunk.crc32c())
        ++good;
      else if (!server->disk_harmed)
        problem =
            StrCat("chunk=", handle, ": ", server->host.name, " holds ", state->durable_length,
                   " bytes sealed that are not the ", chunk.length(), " agreed on");
    }
    if (good < kReplicationFactor)
      problem = StrCat("chunk=", handle, " has ", good, " good replicas. ", problem);
    return problem.empty();
  });
  return problem;
}

}  // namespace appendfs::sim
