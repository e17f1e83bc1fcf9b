#include "tests/sim/history.h"

#include <algorithm>
#include <cstdio>

#include "chunkserver/store/store_core.h"
#include "master/namespace/reads.h"
#include "tests/sim/ledger.h"
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
    if (record.committed && ReasonOf(outcome.status()) != v1::IN_DOUBT)
      kernel.Fail(StrCat(Name(id), " was refused, and is committed at ", *record.committed, ": ",
                         outcome.status().message()));
    return;
  }
  ++acknowledgements_;
  const uint64_t offset = outcome->bytes();
  const uint64_t end = offset + record.bytes.size();
  kernel.Trace("acknowledged: ", Name(id), " at ", offset, "-", end);
  File& file = files_[id.file];
  if (record.committed && *record.committed != offset)
    kernel.Fail(
        StrCat(Name(id), " is acknowledged at ", offset, " and committed at ", *record.committed));
  if (!record.committed && !AnyHarmed() && !world_.ledger->UnknownUntil(file.inode, end - 1))
    kernel.Fail(StrCat(Name(id), " is acknowledged at ", offset, " and not committed"));
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
  if (kernel.Chance(0.04)) CheckDurable(id, offset);
}

// On how many disks would it be if the power failed everywhere now? Enough is enough:
// starting a store from its disk is most of the work there is in a run.
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
  std::vector<ServerNode*> servers;
  for (const auto& server : world_.servers) servers.push_back(server.get());
  std::stable_partition(servers.begin(), servers.end(), [chunk](ServerNode* server) {
    return std::any_of(chunk->replicas().begin(), chunk->replicas().end(), [&](const auto& member) {
      return ServerId(member.server_id()) == server->id();
    });
  });
  for (ServerNode* server : servers) {
    if (found == kWriteQuorum) break;
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
  CheckCommitted(number, offset, bytes, who);
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

bool History::AnyHarmed() const {
  return std::any_of(world_.servers.begin(), world_.servers.end(),
                     [](const auto& server) { return server->disk_harmed; });
}

// A reader sees nothing that is not committed.
void History::CheckCommitted(uint32_t number, uint64_t offset, std::string_view bytes,
                             const std::string& who) {
  if (AnyHarmed()) return;  // what only a harmed disk shows is not looked at
  while (!bytes.empty()) {
    auto committed = world_.ledger->Find(files_[number].inode, offset);
    if (!committed) {
      if (const auto end = world_.ledger->UnknownUntil(files_[number].inode, offset)) {
        bytes.remove_prefix(std::min<size_t>(*end - offset, bytes.size()));
        offset = *end;
        continue;
      }
      return world_.kernel.Fail(StrCat(who, " sees byte ", offset, " of file ", number, " (inode=",
                                       files_[number].inode, "), which is not committed"));
    }
    const std::string_view there = committed->bytes.substr(offset - committed->base_offset);
    const size_t both = std::min(there.size(), bytes.size());
    if (there.substr(0, both) != bytes.substr(0, both))
      return world_.kernel.Fail(StrCat("chunk=", committed->handle, ": ", who,
                                       " sees other bytes at ", offset, " of file ", number,
                                       " than are committed"));
    bytes.remove_prefix(both);
    offset += both;
  }
}

std::map<History::RecordId, History::Record>::iterator History::Parse(std::string_view bytes) {
  RecordId id;
  const std::string head(bytes.substr(0, 60));
  if (std::sscanf(head.c_str(), "p%u f%u n%u ", &id.process, &id.file, &id.number) != 3)
    return records_.end();
  auto at = records_.find(id);
  return at == records_.end() || !bytes.starts_with(at->second.bytes) ? records_.end() : at;
}

void History::Committed(InodeId inode, uint64_t offset, std::string_view bytes) {
  Kernel& kernel = world_.kernel;
  const uint32_t number = numbers_[inode];
  while (!bytes.empty()) {
    auto at = Parse(bytes);
    if (at == records_.end() || at->first.file != number)
      return kernel.Fail(StrCat("inode=", inode, ": no record of its is committed at ", offset,
                                ": ", bytes.substr(0, 40)));
    Record& record = at->second;
    if (record.committed)
      return kernel.Fail(StrCat(Name(at->first), " is committed twice, at ", *record.committed,
                                " and at ", offset));
    record.committed = offset;
    if (record.outcome && !record.outcome->ok() &&
        ReasonOf(record.outcome->status()) != v1::IN_DOUBT)
      return kernel.Fail(StrCat(Name(at->first), " is committed at ", offset,
                                ", but was refused: ", record.outcome->status().message()));
    CheckOrder(at->first, offset);
    offset += record.bytes.size();
    bytes.remove_prefix(record.bytes.size());
  }
}

// The nearest committed records of the same writer are on their sides of it.
void History::CheckOrder(const RecordId& id, uint64_t offset) {
  auto check = [&](const auto& other, bool before) {
    if (other.first.process != id.process || other.first.file != id.file) return true;
    if (!other.second.committed) return false;
    if ((*other.second.committed < offset) != before)
      world_.kernel.Fail(StrCat(Name(id), " is committed at ", offset, ", ",
                                before ? "before " : "after ", Name(other.first), " at ",
                                *other.second.committed));
    return true;
  };
  const auto self = records_.find(id);
  for (auto at = self; at != records_.begin();)
    if (check(*--at, true)) break;
  for (auto at = std::next(self); at != records_.end(); ++at)
    if (check(*at, false)) break;
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
    auto at = Parse(std::string_view(content).substr(offset));
    if (at == records_.end())
      return kernel.Fail(StrCat("file ", number, " (inode=", file.inode, "): no record at ", offset,
                                ": ", content.substr(offset, 40)));
    const RecordId& id = at->first;
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
    offset += at->second.bytes.size();
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
