#include "chunkserver/core/dedup_memory.h"

#include <algorithm>
#include <vector>

namespace appendfs {

DedupMemory::DedupMemory(const v1::DedupMemory& from) {
  for (const v1::ClientMemory& client : from.clients()) {
    auto& outcomes = clients_[ClientId(client.client_id())];
    for (const v1::ClientMemory::Outcome& outcome : client.outcomes())
      outcomes.push_back(
          {Sequence(outcome.sequence()), FileOffset(outcome.offset()), outcome.length()});
    while (outcomes.size() > kOutcomesPerClient) outcomes.pop_front();
  }
}

v1::DedupMemory DedupMemory::ToProto() const {
  std::vector<ClientId> ids;
  ids.reserve(clients_.size());
  for (const auto& [id, outcomes] : clients_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  v1::DedupMemory to;
  for (ClientId id : ids) {
    v1::ClientMemory* client = to.add_clients();
    client->set_client_id(id.value());
    for (const Outcome& outcome : clients_.at(id)) {
      v1::ClientMemory::Outcome* out = client->add_outcomes();
      out->set_sequence(outcome.sequence.value());
      out->set_offset(outcome.offset.bytes());
      out->set_length(outcome.length);
    }
  }
  return to;
}

Sequence DedupMemory::Last(ClientId client) const {
  auto found = clients_.find(client);
  if (found == clients_.end() || found->second.empty()) return Sequence();
  return found->second.back().sequence;
}

const DedupMemory::Outcome* DedupMemory::Find(ClientId client, Sequence sequence) const {
  auto found = clients_.find(client);
  if (found == clients_.end()) return nullptr;
  const auto& outcomes = found->second;
  auto at = std::lower_bound(
      outcomes.begin(), outcomes.end(), sequence,
      [](const Outcome& outcome, Sequence wanted) { return outcome.sequence < wanted; });
  return at != outcomes.end() && at->sequence == sequence ? &*at : nullptr;
}

bool DedupMemory::HasRoomFor(ClientId client) const {
  return clients_.size() < kMaxClients || clients_.contains(client);
}

void DedupMemory::Add(ClientId client, const Outcome& outcome) {
  auto& outcomes = clients_[client];
  outcomes.push_back(outcome);
  if (outcomes.size() > kOutcomesPerClient) outcomes.pop_front();
}

}  // namespace appendfs
