#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/clock.h"
#include "common/ids.h"
#include "master/chunks/placement.h"
#include "proto/master.pb.h"

namespace appendfs {

// Short name of a server in this process, so that a replica's location fits in
// two bytes.
using ServerSlot = uint16_t;

// One chunkserver the cluster has ever had.
struct ServerState {
  ServerId id;
  ServerSlot slot = 0;
  std::string address;        // the last it registered with
  bool alive = false;         // registered with this master and heard of lately
  bool reported = false;      // its whole inventory has come, under this registration
  bool given_up = false;      // its absence has been acted upon
  uint64_t start_id = 0;      // of its process
  uint64_t registration = 0;  // 0: never with this master
  Duration last_heard{};      // master's start if never
  Duration suspect_until{};   // failed a command: other servers are preferred
  Duration last_failed_create{Duration::min()};
  std::optional<Duration> started;  // when this master saw its process first
  std::optional<Duration> lagged;   // when it last did not keep up
  int lapses = 0;                   // of keeping up, one soon after the other
  uint64_t capacity_bytes = 0, available_bytes = 0, chunks = 0;
  std::vector<v1::DiskInfo> disks;  // as it last told
  uint32_t open_chunks = 0;         // replicas that still grow, as the master counts
  uint32_t primaries = 0;
};

struct ServerTableOptions {
  Duration dead_after{};    // without a heartbeat
  Duration unseen_after{};  // known from before this master's start, but not heard of
  Duration suspect_for = std::chrono::seconds(2);
};

// Which chunkservers there are and which of them live. A plain state machine:
// time comes in as argument. Not thread-safe.
class ServerTable {
 public:
  ServerTable(const ServerTableOptions& options, Duration now)
      : options_(options), started_(now), last_tick_(now) {}

  // A server known from before.
  void Load(ServerId id, std::string address);

  struct Registration {
    uint64_t number = 0;
    bool restarted = false;  // a process this master has not seen yet
  };
  Registration Register(ServerId id, const v1::RegisterRequest& request, Duration now);
  // False: the registration is not the present one; the server must register
  // again.
  bool Heartbeat(const v1::HeartbeatRequest& request, Duration now);
  bool IsCurrent(ServerId id, uint64_t registration) const;
  void SetReported(ServerId id);
  // A command failed: do not choose it if there is another one.
  void Suspect(ServerId id, Duration now, bool create_failed);
  // It did not keep up as a replica. True if that is no single lapse.
  bool NoteLag(ServerId id, Duration now);
  // The best of these to put appends in order: none that a command could not
  // reach lately or that has just started, if there is a choice; then the one
  // with the least to do.
  ServerId ChoosePrimary(std::span<const ServerId> members, Duration now) const;
  // Servers that have been silent for too long, each told once. Time in which
  // this process itself did not run does not count.
  std::vector<ServerId> Tick(Duration now);

  void AddOpenReplica(ServerId id, bool primary, int difference);

  const ServerState* Find(ServerId id) const;
  const ServerState& AtSlot(ServerSlot slot) const { return servers_[slot]; }
  ServerSlot SlotOf(ServerId id);  // a server that was never heard of gets one too
  bool IsAlive(ServerId id) const;
  const std::vector<ServerState>& all() const { return servers_; }
  std::vector<PlacementCandidate> Candidates(Duration now) const;
  size_t alive_count() const;
  // Every live server has reported, and every known one lives.
  bool AllReported() const;
  bool LiveReported() const;

 private:
  ServerState& Ensure(ServerId id);

  const ServerTableOptions options_;
  const Duration started_;
  Duration last_tick_;
  std::vector<ServerState> servers_;  // by slot
  absl::flat_hash_map<ServerId, ServerSlot> slots_;
};

}  // namespace appendfs
