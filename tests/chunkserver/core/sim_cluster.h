#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "chunkserver/core/dedup_memory.h"
#include "chunkserver/core/replica.h"
#include "chunkserver/core/sequencer.h"

namespace appendfs::sim {

// One file on three simulated servers: the real cores of the append protocol
// over a transport that loses, doubles and reorders, disks that become durable
// at any time and lose the rest in a crash, a few clients that resend what
// they are in doubt of, and the simplest master: fence, agree, seal, next
// chunk. Everything is drawn from one seed.
//
// Violations of what must hold are collected as text; the checks look at the
// disks and the clients' records only, not into the cores.
struct Faults {
  double lose = 0.02;
  double duplicate = 0.05;
  double crash = 0.002;
};

// A batch on a disk.
struct Stored {
  uint64_t offset = 0;
  std::string bytes;
  ClientId client;
  Sequence sequence;
};

class Cluster {
 public:
  Cluster(uint64_t seed, const Faults& faults);
  ~Cluster();

  void Run(int steps);
  // Everything restarts, the last chunk is sealed, the whole file is checked.
  void Finish();

  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t acknowledged() const { return acknowledged_.size(); }
  uint64_t chunks() const { return tail_.handle.value(); }
  uint64_t fresh_answers() const { return fresh_answers_; }
  uint64_t crashes() const { return crashes_; }

 private:
  class Server;
  struct Client;
  struct Tail {
    ChunkHandle handle;
    FileOffset base;
    std::vector<ServerId> members;
    ServerId primary;
    DedupMemory memory;  // created with
    // Recovery of this tail, if it is under way.
    bool recovering = false;
    struct Answer {
      std::vector<Stored> batches;
      DedupMemory memory;
    };
    std::map<ServerId, Answer> answers;
  };

  using Event = std::function<void()>;

  double Chance() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  uint64_t Pick(uint64_t below) { return random_() % below; }
  void Send(Event deliver);  // over the transport
  void Step();
  void ClientStep(Client& client);
  void Resend(Client& client);
  void OnOutcome(ClientId id, const ClientOutcome& outcome);
  void CheckAcknowledged(ClientId client, const ClientOutcome& outcome);
  void AskFresh();
  void OnFresh(uint64_t token, ChunkHandle handle, const absl::StatusOr<FreshLength>& answer);

  void BeginRecovery();
  void OnFenced(ServerId from, ChunkHandle handle, const std::vector<Stored>& batches,
                const DedupMemory& memory);
  void TrySeal(bool wait_for_all);
  void OpenNext(DedupMemory memory);
  void CheckReplicas();
  void CheckFile();
  void Violate(std::string what);

  std::mt19937_64 random_;
  const Faults faults_;
  Duration now_ = std::chrono::seconds(1);
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Event> in_flight_;
  size_t delayed_ = 0;  // the oldest messages in flight, which stay there
  Tail tail_;
  std::map<ChunkHandle, FileOffset> bases_;
  std::vector<Stored> file_;  // of sealed chunks, offsets within the file
  FileOffset sealed_end_;
  std::map<std::pair<ClientId, Sequence>, FileOffset> acknowledged_;
  std::map<FileOffset, std::pair<ClientId, Sequence>> by_offset_;
  FileOffset acknowledged_end_;
  std::map<uint64_t, FileOffset> fresh_asked_;  // token -> acknowledged end when it was asked
  uint64_t last_token_ = 0;
  uint64_t fresh_answers_ = 0;
  uint64_t crashes_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace appendfs::sim
