#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/container/flat_hash_map.h"
#include "common/ids.h"
#include "proto/types.pb.h"

namespace appendfs {

// What a chunk remembers of its clients' batches, so that a batch sent again
// is answered and not appended again. Bounded: the last 64 outcomes of each
// client, 1024 clients. Not thread-safe; owned by one sequencer or replica.
class DedupMemory {
 public:
  static constexpr size_t kOutcomesPerClient = 64;
  static constexpr size_t kMaxClients = 1024;

  struct Outcome {
    Sequence sequence;
    FileOffset offset;
    uint32_t length = 0;
    friend bool operator==(const Outcome&, const Outcome&) = default;
  };

  DedupMemory() = default;
  explicit DedupMemory(const v1::DedupMemory& from);
  v1::DedupMemory ToProto() const;  // clients rising by id

  // The newest sequence of this client; none if it is not known.
  Sequence Last(ClientId client) const;
  // Null: not remembered.
  const Outcome* Find(ClientId client, Sequence sequence) const;
  // Whether Add would keep to the bound of clients.
  bool HasRoomFor(ClientId client) const;
  // `outcome.sequence` is above Last(client); the oldest outcome may be forgotten.
  void Add(ClientId client, const Outcome& outcome);

  size_t clients() const { return clients_.size(); }

 private:
  absl::flat_hash_map<ClientId, std::deque<Outcome>> clients_;
};

}  // namespace appendfs
