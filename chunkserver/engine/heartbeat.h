#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/event_queue.h"
#include "chunkserver/engine/membership.h"
#include "chunkserver/store/chunk_store.h"
#include "common/clock.h"
#include "proto/master.pb.h"

namespace appendfs {

// The master's register of servers, as calls that block for a bounded time.
class MasterLink {
 public:
  virtual ~MasterLink() = default;
  virtual absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request) = 0;
  virtual absl::Status ReportChunks(const v1::ReportChunksRequest& request) = 0;
  virtual absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request) = 0;
  // Ends the call under way and all later ones; from any thread.
  virtual void Cancel() = 0;
};

// Keeps this server known to the master: registers, reports all replicas,
// sends heartbeats and events, and starts over when the master asks for it or
// the connection was lost. Runs on a thread of its own; owned by the process.
class Heartbeat {
 public:
  // `on_fatal` is called once, and the thread ends, when the master refuses
  // this server for good (another cluster, another version).
  Heartbeat(Engine& engine, ChunkStore& store, Membership& membership, EventQueue& events,
            MasterLink& master, const Clock& clock, std::string address,
            absl::AnyInvocable<void(absl::Status) &&> on_fatal);
  ~Heartbeat();  // as Stop
  void Start();
  void Stop();
  // What its thread does, until Stop; for callers with a thread of their own.
  void Run();

 private:
  absl::Status Register();
  absl::Status ReportAll();
  absl::Status Beat();
  void Complain(const absl::Status& why);

  Engine& engine_;
  ChunkStore& store_;
  Membership& membership_;
  EventQueue& events_;
  MasterLink& master_;
  const Clock& clock_;
  const std::string address_;
  const uint64_t start_id_;
  absl::AnyInvocable<void(absl::Status) &&> on_fatal_;

  // Of the thread.
  bool registered_ = false;
  bool fatal_ = false;
  int failures_ = 0;
  uint64_t losses_reported_ = 0;  // of the engine's
  Duration interval_ = std::chrono::milliseconds(500);
  Duration last_complaint_ = Duration::min();
  std::thread thread_;
};

}  // namespace appendfs
