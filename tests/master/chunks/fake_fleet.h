#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/ids.h"
#include "master/chunks/chunk_manager.h"
#include "master/chunks/server_client.h"
#include "tests/master/chunks/simulated_time.h"

namespace appendfs {

// A chunkserver as the master sees one: replicas in memory, commands carried
// out at once, heartbeats. A test may kill it, hang it, and spoil its replicas.
struct FakeServer {
  struct Replica {
    Epoch epoch;
    std::string data;
    bool sealed = false, damaged = false, primary = false;
    uint64_t mtime_ns = 0;
    uint64_t committed = 0;
    v1::DedupMemory memory;
  };
  enum class Health { kUp, kDead, kHung };

  std::string address;
  Health health = Health::kUp;
  uint64_t start_id = 1;
  uint64_t id = 0, registration = 0;
  uint64_t newest_incarnation = 0;
  uint64_t capacity_bytes = 100ull << 30, available_bytes = 90ull << 30;
  bool refuse_creates = false;
  bool registered = false;
  bool silent = false;  // sends no heartbeats, but serves
  std::map<uint64_t, Replica> replicas;
  std::set<uint64_t> deleted;
  std::vector<v1::ServerEvent> events;                                // go with the next heartbeat
  int creates = 0, fences = 0, conforms = 0, opens = 0, deletes = 0;  // commands, not calls
  int calls = 0;
  bool refuse_opens = false;
};

// Servers by number, and the way to them.
class FakeFleet {
 public:
  explicit FakeFleet(SimulatedTime& time) : time_(time) {}

  FakeServer& Add();
  FakeServer& operator[](size_t number) { return *servers_[number]; }
  size_t size() const { return servers_.size(); }
  FakeServer* ById(uint64_t id);
  FakeServer* ByAddress(const std::string& address);

  // The process ends; with its data kept it may be started again.
  void Kill(size_t number);
  void Start(size_t number);

  // What the master talks through; what it has under way when it is destroyed
  // is never answered.
  std::unique_ptr<ServerClient> MakeClient();
  // Servers register with `master` and beat from now on; null: there is none.
  void SetMaster(ChunkManager* master);

  // Replicas that hold the handle on any server.
  std::vector<FakeServer::Replica*> Holders(uint64_t handle);

 private:
  class Client;
  friend class Client;

  void Beat(FakeServer& server, int generation);
  void Register(FakeServer& server);
  absl::Status CheckOrigin(FakeServer& server, const v1::CommandOrigin& origin);
  v1::CreateChunksResponse Answer(FakeServer& server, const v1::CreateChunksRequest& request);
  v1::FenceResponse Answer(FakeServer& server, const v1::FenceRequest& request);
  v1::ConformResponse Answer(FakeServer& server, const v1::ConformRequest& request);
  v1::OpenChunksResponse Answer(FakeServer& server, const v1::OpenChunksRequest& request);
  v1::DeleteChunksResponse Answer(FakeServer& server, const v1::DeleteChunksRequest& request);
  v1::InspectResponse Answer(FakeServer& server, const v1::InspectRequest& request);
  absl::StatusOr<uint32_t> Conform(FakeServer& server, const v1::ConformRequest::Item& item);

  SimulatedTime& time_;
  std::vector<std::unique_ptr<FakeServer>> servers_;
  ChunkManager* master_ = nullptr;
  int generation_ = 0;  // of the master; beats of an older one end
};

}  // namespace appendfs
