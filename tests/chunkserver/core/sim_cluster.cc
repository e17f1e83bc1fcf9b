#include "tests/chunkserver/core/sim_cluster.h"

#include <algorithm>
#include <utility>

#include "common/str_cat.h"
#include "tests/chunkserver/core/sim_server.h"

namespace appendfs::sim {

struct Cluster::Client {
  struct Batch {
    Sequence sequence, predecessor;
    std::string bytes;
  };
  ClientId id;
  Sequence last;
  std::deque<Batch> open;  // sent, not known
  ChunkHandle sent_to;
};

Cluster::Cluster(uint64_t seed, const Faults& faults) : random_(seed), faults_(faults) {
  for (uint64_t i = 1; i <= 3; ++i)
    servers_.push_back(std::make_unique<Server>(*this, ServerId(i)));
  for (uint64_t i = 1; i <= 3; ++i) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->id = ClientId(i);
  }
  OpenNext({});
}

Cluster::~Cluster() = default;

void Cluster::Violate(std::string what) { violations_.push_back(std::move(what)); }

void Cluster::Send(Event deliver) {
  double chance = Chance();
  if (chance < faults_.lose) return;
  if (chance < faults_.lose + faults_.duplicate) in_flight_.push_back(deliver);
  in_flight_.push_back(std::move(deliver));
}

void Cluster::Run(int steps) {
  for (int i = 0; i < steps && violations_.empty(); ++i) Step();
}

void Cluster::Step() {
  now_ += std::chrono::milliseconds(Pick(4));
  if (Chance() < faults_.crash) {
    Server& server = *servers_[Pick(3)];
    bool others_up = std::count_if(servers_.begin(), servers_.end(),
                                   [](const auto& other) { return other->up(); }) == 3;
    if (server.up() && others_up) {
      server.Crash();
      ++crashes_;
      for (auto& other : servers_)
        if (other->up()) other->OnPeerBroken(server.id());
    }
  }
  if (Chance() < 0.01) {
    for (auto& server : servers_) {
      if (!server->up()) {
        server->Restart();
        // With one answer of three lost to the crash, recovery asks again.
        if (tail_.recovering) BeginRecovery();
      }
    }
  }
  switch (Pick(10)) {
    case 0:
    case 1: ClientStep(*clients_[Pick(clients_.size())]); break;
    case 2:
    case 3:
    case 4: {
      Server& server = *servers_[Pick(3)];
      if (server.up()) server.DiskStep();
      break;
    }
    case 5: {
      if (Chance() < 0.2)
        for (auto& server : servers_)
          if (server->up()) server->Tick();
      if (Chance() < 0.3) AskFresh();
      if (tail_.recovering && Chance() < 0.1) BeginRecovery();
      TrySeal(Chance() < 0.5);
      CheckReplicas();
      break;
    }
    default: {
      if (in_flight_.empty()) break;
      // Mostly in about the order of sending; what is skipped may stay for long.
      size_t skipped = std::min<size_t>(in_flight_.size() - 1, delayed_);
      size_t window = std::min<size_t>(in_flight_.size() - skipped, 6);
      size_t at = Chance() < 0.02 ? Pick(in_flight_.size()) : skipped + Pick(window);
      if (Chance() < 0.01) delayed_ = Pick(30);
      Event event = std::move(in_flight_[at]);
      in_flight_.erase(in_flight_.begin() + at);
      event();
    }
  }
}

void Cluster::ClientStep(Client& client) {
  if (client.sent_to != tail_.handle || Chance() < 0.05) Resend(client);
  if (client.open.size() >= 4) return;
  Client::Batch batch{client.last.Next(), client.last};
  batch.bytes = StrCat("<", client.id, ":", batch.sequence, ">");
  batch.bytes.resize(batch.bytes.size() + Pick(60), '.');
  client.last = batch.sequence;
  client.open.push_back(batch);
  Resend(client);
}

void Cluster::Resend(Client& client) {
  client.sent_to = tail_.handle;
  for (const Client::Batch& open : client.open) {
    ClientBatch batch;
    batch.handle = tail_.handle;
    batch.epoch = kEpoch;
    batch.client = client.id;
    batch.sequence = open.sequence;
    batch.predecessor = open.predecessor;
    batch.payload = Buffer::From(open.bytes);
    batch.stream = StreamId(client.id.value());
    Server* primary = servers_[tail_.primary.value() - 1].get();
    Send([primary, batch] {
      if (primary->up()) primary->OnBatch(batch);
    });
  }
}

void Cluster::OnOutcome(ClientId id, const ClientOutcome& outcome) {
  Client& client = *clients_[id.value() - 1];
  if (outcome.status.ok()) {
    std::erase_if(client.open,
                  [&](const Client::Batch& batch) { return batch.sequence == outcome.sequence; });
    return;
  }
  bool open = std::any_of(client.open.begin(), client.open.end(), [&](const Client::Batch& batch) {
    return batch.sequence == outcome.sequence;
  });
  // A late refusal of an earlier tail, or of a batch answered since.
  if (!open || outcome.handle != tail_.handle) return;
  if (ReasonOf(outcome.status) == v1::SEQUENCE_FORGOTTEN)
    Violate(StrCat("client=", id, " sequence=", outcome.sequence, " is open but forgotten"));
  if (ReasonOf(outcome.status) != v1::PREDECESSOR_MISSING) BeginRecovery();
}

// At the moment the primary answers: on the disks of two servers, and never
// another offset for the same batch or another batch for the same offset.
void Cluster::CheckAcknowledged(ClientId client, const ClientOutcome& outcome) {
  const auto key = std::pair(client, outcome.sequence);
  auto [known, fresh] = acknowledged_.emplace(key, outcome.offset);
  if (known->second != outcome.offset)
    Violate(StrCat("client=", client, " sequence=", outcome.sequence, " was acknowledged at ",
                   known->second, " and at ", outcome.offset));
  if (!fresh) return;
  auto [taken, free] = by_offset_.emplace(outcome.offset, key);
  if (!free && taken->second != key)
    Violate(StrCat("offset ", outcome.offset, " was acknowledged twice"));
  FileOffset base = bases_[outcome.handle];
  if (outcome.offset < base) {
    // A duplicate of what an earlier chunk took: its outcome was recovered.
    for (const Stored& batch : file_)
      if (batch.offset == outcome.offset.bytes() && batch.client == client) return;
    return Violate(StrCat("client=", client, " sequence=", outcome.sequence,
                          " was acknowledged but is in no sealed chunk"));
  }
  int holders = 0;
  for (const auto& server : servers_) {
    auto disk = server->disks().find(outcome.handle);
    if (disk == server->disks().end()) continue;
    for (const Stored& batch : disk->second.batches) {
      if (batch.offset != outcome.offset - base || batch.client != client) continue;
      holders += batch.sequence == outcome.sequence;
      acknowledged_end_ = std::max(acknowledged_end_, outcome.offset + batch.bytes.size());
    }
  }
  if (holders < kWriteQuorum)
    Violate(StrCat("client=", client, " sequence=", outcome.sequence, " was acknowledged with ",
                   holders, " durable copies"));
}

void Cluster::AskFresh() {
  // Also of primaries that may have been fenced without knowing it.
  ChunkHandle handle = tail_.handle;
  if (Chance() < 0.5 && handle.value() > 1) handle = ChunkHandle(handle.value() - 1);
  for (auto& server : servers_) {
    if (!server->up()) continue;
    fresh_asked_[++last_token_] = acknowledged_end_;
    server->AskFresh(handle, last_token_);
  }
}

void Cluster::OnFresh(uint64_t token, ChunkHandle handle,
                      const absl::StatusOr<FreshLength>& answer) {
  if (!answer.ok()) return;
  ++fresh_answers_;
  FileOffset end = bases_[handle] + answer->length;
  if (end < fresh_asked_[token])
    Violate(StrCat("chunk=", handle, " a fresh length ends at ", end, ", but ", fresh_asked_[token],
                   " was acknowledged before the question"));
}

void Cluster::BeginRecovery() {
  tail_.recovering = true;
  for (ServerId member : tail_.members) {
    Server* server = servers_[member.value() - 1].get();
    if (member == tail_.primary && tail_.members.size() == 3 && Chance() < 0.6) continue;
    Send([server, handle = tail_.handle] {
      if (server->up()) server->OnFence(handle);
    });
  }
}

void Cluster::OnFenced(ServerId from, ChunkHandle handle, const std::vector<Stored>& batches,
                       const DedupMemory& memory) {
  if (handle == tail_.handle && tail_.recovering) tail_.answers[from] = {batches, memory};
}

void Cluster::TrySeal(bool wait_for_all) {
  const size_t needed = tail_.members.size() - kWriteQuorum + 1;
  if (!tail_.recovering || tail_.answers.size() < needed) return;
  if (wait_for_all && tail_.answers.size() < tail_.members.size()) return;
  auto up = std::count_if(servers_.begin(), servers_.end(), [](const auto& s) { return s->up(); });
  if (up < kWriteQuorum) return;
  auto end = [](const Tail::Answer& answer) {
    return answer.batches.empty()
               ? 0
               : answer.batches.back().offset + answer.batches.back().bytes.size();
  };
  const Tail::Answer* longest = nullptr;
  for (const auto& [server, answer] : tail_.answers)
    if (longest == nullptr || end(answer) > end(*longest)) longest = &answer;
  for (const Stored& batch : longest->batches) {
    file_.push_back(batch);
    file_.back().offset += tail_.base.bytes();
  }
  sealed_end_ = tail_.base + end(*longest);
  OpenNext(longest->memory);
}

void Cluster::OpenNext(DedupMemory memory) {
  Tail next;
  next.handle = tail_.handle.Next();
  next.base = sealed_end_;
  next.memory = std::move(memory);
  for (auto& server : servers_)
    if (server->up()) next.members.push_back(server->id());
  next.primary = next.members[Pick(next.members.size())];
  tail_ = std::move(next);
  bases_[tail_.handle] = tail_.base;
  for (ServerId member : tail_.members)
    servers_[member.value() - 1]->Create(tail_, member == tail_.primary);
}

// What any reader saw of a chunk is the same on every replica.
void Cluster::CheckReplicas() {
  const ChunkHandle handle = tail_.handle;
  for (const auto& one : servers_) {
    for (const auto& other : servers_) {
      auto a = one->disks().find(handle), b = other->disks().find(handle);
      if (a == one->disks().end() || b == other->disks().end()) continue;
      const uint64_t shown = std::min(one->shown(handle), other->shown(handle));
      for (size_t i = 0; i < a->second.batches.size() && a->second.batches[i].offset < shown; ++i)
        if (i >= b->second.batches.size() ||
            a->second.batches[i].bytes != b->second.batches[i].bytes)
          return Violate(StrCat("chunk=", handle, " differs below its committed length"));
    }
  }
}

void Cluster::Finish() {
  if (!violations_.empty()) return;
  for (auto& server : servers_)
    if (!server->up()) server->Restart();
  const ChunkHandle last = tail_.handle;
  delayed_ = 0;
  for (int i = 0; i < 10000 && tail_.handle == last; ++i) {
    if (i % 100 == 0) BeginRecovery();
    for (auto& server : servers_) server->DiskStep();
    for (Event& event : std::exchange(in_flight_, {})) event();
    TrySeal(false);
  }
  if (tail_.handle == last) return Violate("the last chunk could not be recovered");
  CheckFile();
}

void Cluster::CheckFile() {
  std::map<ClientId, Sequence> last;
  std::map<std::pair<ClientId, Sequence>, uint64_t> found;
  uint64_t end = 0;
  for (const Stored& batch : file_) {
    if (batch.offset != end) Violate(StrCat("the file has a hole or overlap at ", end));
    end = batch.offset + batch.bytes.size();
    if (batch.bytes.rfind(StrCat("<", batch.client, ":", batch.sequence, ">"), 0) != 0)
      Violate(StrCat("offset ", batch.offset, " holds other bytes than were sent"));
    if (!found.emplace(std::pair(batch.client, batch.sequence), batch.offset).second)
      Violate(StrCat("client=", batch.client, " sequence=", batch.sequence, " is there twice"));
    if (batch.sequence <= last[batch.client])
      Violate(StrCat("client=", batch.client, " sequence=", batch.sequence, " is out of order"));
    last[batch.client] = batch.sequence;
  }
  for (const auto& [key, offset] : acknowledged_) {
    auto at = found.find(key);
    if (at == found.end())
      Violate(StrCat("client=", key.first, " sequence=", key.second, " was acknowledged and lost"));
    else if (at->second != offset.bytes())
      Violate(StrCat("client=", key.first, " sequence=", key.second, " moved from ", offset));
  }
}

}  // namespace appendfs::sim
