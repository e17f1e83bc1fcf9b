#include "tests/master/chunks/fake_fleet.h"

#include "common/crc32c.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kLatency = std::chrono::milliseconds(1);
constexpr Duration kBeat = std::chrono::milliseconds(250);

v1::Error ErrorOf(Reason reason, std::string_view message) {
  return ToProto(MakeError(reason, message));
}

}  // namespace

class FakeFleet::Client final : public ServerClient {
 public:
  explicit Client(FakeFleet& fleet) : fleet_(fleet) {}
  ~Client() override { *alive_ = false; }

  void Call(const std::string& address, v1::CreateChunksRequest request, Duration timeout,
            Done<v1::CreateChunksResponse> done) override {
    Send(address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::FenceRequest request, Duration timeout,
            Done<v1::FenceResponse> done) override {
    Send(address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::ConformRequest request, Duration timeout,
            Done<v1::ConformResponse> done) override {
    Send(address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::OpenChunksRequest request, Duration timeout,
            Done<v1::OpenChunksResponse> done) override {
    Send(address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::DeleteChunksRequest request, Duration timeout,
            Done<v1::DeleteChunksResponse> done) override {
    Send(address, std::move(request), timeout, std::move(done));
  }
  void Call(const std::string& address, v1::InspectRequest request, Duration timeout,
            Done<v1::InspectResponse> done) override {
    Send(address, std::move(request), timeout, std::move(done));
  }

 private:
  template <class Request, class Response>
  void Send(const std::string& address, Request request, Duration timeout, Done<Response> done) {
    auto answer = [alive = alive_,
                   done = std::move(done)](absl::StatusOr<Response> result) mutable {
      if (*alive) std::move(done)(std::move(result));
    };
    FakeServer* server = fleet_.ByAddress(address);
    if (!server || server->health == FakeServer::Health::kDead) {
      fleet_.time_.After(kLatency, [answer = std::move(answer)]() mutable {
        answer(MakeError(v1::UNREACHABLE, "connection refused"));
      });
      return;
    }
    if (server->health == FakeServer::Health::kHung) {
      fleet_.time_.After(timeout, [answer = std::move(answer)]() mutable {
        answer(MakeError(v1::TIMED_OUT, "no answer"));
      });
      return;
    }
    fleet_.time_.After(kLatency, [&fleet = fleet_, server, request = std::move(request),
                                  answer = std::move(answer)]() mutable {
      if (server->health != FakeServer::Health::kUp)
        return answer(MakeError(v1::UNREACHABLE, "connection lost"));
      ++server->calls;
      Response response = fleet.Answer(*server, request);
      fleet.time_.After(kLatency,
                        [response = std::move(response), answer = std::move(answer)]() mutable {
                          answer(std::move(response));
                        });
    });
  }

  FakeFleet& fleet_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

FakeServer& FakeFleet::Add() {
  auto server = std::make_unique<FakeServer>();
  server->address = StrCat("cs", servers_.size() + 1, ":9410");
  server->start_id = 1000 + servers_.size();
  servers_.push_back(std::move(server));
  FakeServer& added = *servers_.back();
  if (master_) time_.After(kLatency, [this, &added, g = generation_] { Beat(added, g); });
  return added;
}

FakeServer* FakeFleet::ById(uint64_t id) {
  for (auto& server : servers_)
    if (server->id == id) return server.get();
  return nullptr;
}

FakeServer* FakeFleet::ByAddress(const std::string& address) {
  for (auto& server : servers_)
    if (server->address == address) return server.get();
  return nullptr;
}

void FakeFleet::Kill(size_t number) {
  FakeServer& server = *servers_[number];
  server.health = FakeServer::Health::kDead;
  server.registered = false;
}

void FakeFleet::Start(size_t number) {
  FakeServer& server = *servers_[number];
  server.health = FakeServer::Health::kUp;
  server.start_id += 100;
  server.registered = false;
  for (auto& [handle, replica] : server.replicas) replica.primary = false;
}

std::unique_ptr<ServerClient> FakeFleet::MakeClient() { return std::make_unique<Client>(*this); }

void FakeFleet::SetMaster(ChunkManager* master) {
  master_ = master;
  ++generation_;
  for (auto& server : servers_) {
    server->registered = false;
    if (master) time_.After(kLatency, [this, s = server.get(), g = generation_] { Beat(*s, g); });
  }
}

void FakeFleet::Beat(FakeServer& server, int generation) {
  if (generation != generation_) return;
  time_.After(kBeat, [this, &server, generation] { Beat(server, generation); });
  if (server.health != FakeServer::Health::kUp || server.silent) return;
  if (!server.registered) return Register(server);
  v1::HeartbeatRequest beat;
  beat.set_server_id(server.id);
  beat.set_registration(server.registration);
  beat.set_capacity_bytes(server.capacity_bytes);
  beat.set_available_bytes(server.available_bytes);
  beat.set_chunks(server.replicas.size());
  for (const v1::ServerEvent& event : server.events) *beat.add_events() = event;
  server.events.clear();
  if (master_->Heartbeat(beat).register_again()) Register(server);
}

void FakeFleet::Register(FakeServer& server) {
  v1::RegisterRequest request;
  request.set_server_id(server.id);
  request.set_address(server.address);
  request.set_start_id(server.start_id);
  if (!server.replicas.empty()) request.set_highest_handle(server.replicas.rbegin()->first);
  request.set_capacity_bytes(server.capacity_bytes);
  request.set_available_bytes(server.available_bytes);
  master_->Register(request, [this, &server, generation = generation_](
                                 absl::StatusOr<v1::RegisterResponse> response) {
    if (!response.ok() || generation != generation_) return;
    server.id = response->server_id();
    server.registration = response->registration();
    server.registered = true;
    v1::ReportChunksRequest report;
    report.set_server_id(server.id);
    report.set_registration(server.registration);
    for (const auto& [handle, replica] : server.replicas) {
      v1::ReplicaReport& item = *report.add_replicas();
      item.set_handle(handle);
      item.set_epoch(replica.epoch.value());
      item.set_sealed(replica.sealed);
      item.set_length(replica.data.size());
      item.set_damaged(replica.damaged);
      item.set_primary(replica.primary);
      if (replica.sealed) item.set_crc32c(Crc32c(replica.data));
    }
    report.set_last(true);
    (void)master_->ReportChunks(report);
  });
}

absl::Status FakeFleet::CheckOrigin(FakeServer& server, const v1::CommandOrigin& origin) {
  if (origin.server_id() != server.id) return MakeError(v1::WRONG_SERVER, "not me");
  if (origin.incarnation() < server.newest_incarnation ||
      origin.registration() < server.registration)
    return MakeError(v1::STALE_COMMAND, "old");
  server.newest_incarnation = origin.incarnation();
  return absl::OkStatus();
}

v1::CreateChunksResponse FakeFleet::Answer(FakeServer& server,
                                           const v1::CreateChunksRequest& request) {
  v1::CreateChunksResponse response;
  absl::Status origin = CheckOrigin(server, request.origin());
  for (const v1::CreateChunksRequest::Item& item : request.items()) {
    v1::CreateChunksResponse::Item& answer = *response.add_items();
    ++server.creates;
    if (!origin.ok()) {
      *answer.mutable_error() = ToProto(origin);
    } else if (server.refuse_creates) {
      *answer.mutable_error() = ErrorOf(v1::NO_SPACE, "disk full");
    } else if (server.deleted.contains(item.handle()) || server.replicas.contains(item.handle())) {
      *answer.mutable_error() = ErrorOf(v1::INVALID, "handle used");
    } else {
      FakeServer::Replica replica;
      replica.epoch = Epoch(item.epoch());
      replica.primary = item.primary_id() == server.id;
      replica.memory = item.memory();
      replica.mtime_ns = item.mtime_ns();
      server.replicas.emplace(item.handle(), std::move(replica));
    }
  }
  return response;
}

v1::FenceResponse FakeFleet::Answer(FakeServer& server, const v1::FenceRequest& request) {
  v1::FenceResponse response;
  absl::Status origin = CheckOrigin(server, request.origin());
  for (const v1::FenceRequest::Item& item : request.items()) {
    v1::FenceResponse::Item& answer = *response.add_items();
    ++server.fences;
    auto it = server.replicas.find(item.handle());
    if (!origin.ok()) {
      *answer.mutable_error() = ToProto(origin);
    } else if (it == server.replicas.end()) {
      *answer.mutable_error() = ErrorOf(v1::UNKNOWN_CHUNK, "not here");
    } else if (it->second.damaged) {
      *answer.mutable_error() = ErrorOf(v1::REPLICA_DAMAGED, "damaged");
    } else if (it->second.epoch > Epoch(item.epoch())) {
      *answer.mutable_error() = ErrorOf(v1::STALE_EPOCH, "promised");
    } else {
      FakeServer::Replica& replica = it->second;
      replica.epoch = Epoch(item.epoch());
      replica.primary = false;
      answer.set_durable_length(replica.data.size());
      answer.set_crc32c(Crc32c(replica.data));
      answer.set_sealed(replica.sealed);
      answer.set_mtime_ns(replica.mtime_ns);
      *answer.mutable_memory() = replica.memory;
    }
  }
  return response;
}

absl::StatusOr<uint32_t> FakeFleet::Conform(FakeServer& server,
                                            const v1::ConformRequest::Item& item) {
  if (server.deleted.contains(item.handle())) return MakeError(v1::INVALID, "deleted");
  auto it = server.replicas.find(item.handle());
  FakeServer::Replica replica;
  if (it != server.replicas.end()) replica = it->second;
  if (replica.epoch > Epoch(item.epoch())) return MakeError(v1::STALE_EPOCH, "promised");
  std::string bytes = replica.data.substr(0, item.length());
  auto fits = [&] {
    return bytes.size() == item.length() && (!item.check_crc() || Crc32c(bytes) == item.crc32c());
  };
  if (it == server.replicas.end() || replica.damaged || !fits()) {
    bytes.clear();
    for (const v1::ServerAddress& source : item.sources()) {
      FakeServer* from = ByAddress(source.address());
      if (!from || from->health != FakeServer::Health::kUp) continue;
      auto there = from->replicas.find(item.handle());
      if (there == from->replicas.end() || there->second.damaged) continue;
      bytes = there->second.data.substr(0, item.length());
      if (fits()) break;
    }
    if (!fits())
      return MakeError(it == server.replicas.end() ? v1::UNKNOWN_CHUNK : v1::CHECKSUM_MISMATCH,
                       "no source");
  }
  replica.data = std::move(bytes);
  replica.damaged = replica.primary = false;
  replica.epoch = Epoch(item.epoch());
  replica.sealed |= item.seal();
  replica.memory = item.memory();
  replica.mtime_ns = item.mtime_ns();
  uint32_t crc = Crc32c(replica.data);
  server.replicas[item.handle()] = std::move(replica);
  return crc;
}

v1::ConformResponse FakeFleet::Answer(FakeServer& server, const v1::ConformRequest& request) {
  v1::ConformResponse response;
  absl::Status origin = CheckOrigin(server, request.origin());
  for (const v1::ConformRequest::Item& item : request.items()) {
    v1::ConformResponse::Item& answer = *response.add_items();
    ++server.conforms;
    absl::StatusOr<uint32_t> crc = origin.ok() ? Conform(server, item) : origin;
    if (crc.ok()) {
      answer.set_crc32c(*crc);
    } else {
      *answer.mutable_error() = ToProto(crc.status());
    }
  }
  return response;
}

v1::OpenChunksResponse FakeFleet::Answer(FakeServer& server, const v1::OpenChunksRequest& request) {
  v1::OpenChunksResponse response;
  absl::Status origin = CheckOrigin(server, request.origin());
  for (const v1::OpenChunksRequest::Item& item : request.items()) {
    v1::OpenChunksResponse::Item& answer = *response.add_items();
    ++server.opens;
    auto it = server.replicas.find(item.handle());
    if (!origin.ok()) {
      *answer.mutable_error() = ToProto(origin);
    } else if (it == server.replicas.end() || server.refuse_opens) {
      *answer.mutable_error() = ErrorOf(v1::UNKNOWN_CHUNK, "not here");
    } else if (it->second.epoch != Epoch(item.epoch()) || it->second.sealed ||
               it->second.data.size() != item.length()) {
      *answer.mutable_error() = ErrorOf(v1::STALE_EPOCH, "not as thought");
    } else {
      it->second.committed = item.length();
      it->second.primary = item.primary_id() == server.id;
    }
  }
  return response;
}

v1::DeleteChunksResponse FakeFleet::Answer(FakeServer& server,
                                           const v1::DeleteChunksRequest& request) {
  v1::DeleteChunksResponse response;
  absl::Status origin = CheckOrigin(server, request.origin());
  for (uint64_t handle : request.handles()) {
    v1::DeleteChunksResponse::Item& answer = *response.add_items();
    ++server.deletes;
    if (!origin.ok()) {
      *answer.mutable_error() = ToProto(origin);
      continue;
    }
    server.replicas.erase(handle);
    server.deleted.insert(handle);
  }
  return response;
}

v1::InspectResponse FakeFleet::Answer(FakeServer& server, const v1::InspectRequest& request) {
  v1::InspectResponse response;
  for (uint64_t handle : request.handles()) {
    v1::InspectResponse::Item& answer = *response.add_items();
    auto it = server.replicas.find(handle);
    if (it == server.replicas.end()) {
      *answer.mutable_error() = ErrorOf(v1::UNKNOWN_CHUNK, "not here");
      continue;
    }
    answer.set_durable_length(it->second.data.size());
    answer.set_sealed(it->second.sealed);
  }
  return response;
}

std::vector<FakeServer::Replica*> FakeFleet::Holders(uint64_t handle) {
  std::vector<FakeServer::Replica*> holders;
  for (auto& server : servers_)
    if (auto it = server->replicas.find(handle); it != server->replicas.end())
      holders.push_back(&it->second);
  return holders;
}

}  // namespace appendfs
