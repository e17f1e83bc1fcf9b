#include "chunkserver/engine/heartbeat.h"

#include <glog/logging.h>
#include <pthread.h>

#include <algorithm>
#include <random>
#include <utility>

#include "common/protocol.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr size_t kReportPage = 1000;
constexpr size_t kEventsPerBeat = 1000;
constexpr int kFailuresToRegisterAgain = 3;
constexpr Duration kRetryInterval = std::chrono::milliseconds(200);
constexpr Duration kComplaintInterval = std::chrono::seconds(10);

uint64_t RandomId() {
  std::random_device source;
  return (static_cast<uint64_t>(source()) << 32) | source() | 1;
}

v1::ServerEvent ToProto(const ChunkEvent& event) {
  v1::ServerEvent to;
  switch (event.kind) {
    case ChunkEvent::Kind::kReplicaLagging: to.set_kind(v1::ServerEvent::REPLICA_LAGGING); break;
    case ChunkEvent::Kind::kChunkFull: to.set_kind(v1::ServerEvent::CHUNK_IS_FULL); break;
    case ChunkEvent::Kind::kReplicaBad: to.set_kind(v1::ServerEvent::REPLICA_BAD); break;
    case ChunkEvent::Kind::kReplicaGone: to.set_kind(v1::ServerEvent::REPLICA_GONE); break;
    case ChunkEvent::Kind::kChunkIdle: to.set_kind(v1::ServerEvent::CHUNK_IS_IDLE); break;
  }
  to.set_handle(event.handle.value());
  to.set_epoch(event.epoch.value());
  to.set_about_server(event.about.value());
  return to;
}

v1::DiskInfo ToProto(const DiskState& disk) {
  v1::DiskInfo to;
  to.set_directory(disk.directory);
  to.set_id(disk.id);
  to.set_capacity_bytes(disk.total_bytes);
  to.set_available_bytes(disk.available_bytes);
  to.set_chunks(disk.chunks);
  to.set_failure(disk.failure);
  return to;
}

bool IsFatal(const absl::Status& status) {
  return HasReason(status, v1::WRONG_CLUSTER) || HasReason(status, v1::WRONG_SERVER) ||
         HasReason(status, v1::VERSION_MISMATCH);
}

}  // namespace

Heartbeat::Heartbeat(Engine& engine, ChunkStore& store, Membership& membership, EventQueue& events,
                     MasterLink& master, const Clock& clock, std::string address,
                     absl::AnyInvocable<void(absl::Status) &&> on_fatal)
    : engine_(engine),
      store_(store),
      membership_(membership),
      events_(events),
      master_(master),
      clock_(clock),
      address_(std::move(address)),
      start_id_(RandomId()),
      on_fatal_(std::move(on_fatal)) {}

Heartbeat::~Heartbeat() { Stop(); }

void Heartbeat::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "heartbeat");
    Run();
  });
}

void Heartbeat::Stop() {
  events_.Close();
  master_.Cancel();
  if (thread_.joinable()) thread_.join();
}

void Heartbeat::Run() {
  while (!events_.closed() && !fatal_) {
    absl::Status status = registered_ ? Beat() : Register();
    if (events_.closed()) return;
    if (status.ok()) {
      failures_ = 0;
      last_complaint_ = Duration::min();
      continue;
    }
    if (IsFatal(status)) {
      fatal_ = true;
      return std::move(on_fatal_)(status);
    }
    Complain(status);
    // A lost connection shows at once; a slow answer only after some.
    if (HasReason(status, v1::UNREACHABLE) || ++failures_ >= kFailuresToRegisterAgain)
      registered_ = false;
    events_.Pause(kRetryInterval);
  }
}

void Heartbeat::Complain(const absl::Status& why) {
  Duration now = clock_.Monotonic();
  if (last_complaint_ != Duration::min() && now - last_complaint_ < kComplaintInterval) return;
  last_complaint_ = now;
  LOG(WARNING) << "the master does not answer, trying on: " << why.message();
}

absl::Status Heartbeat::Register() {
  const Membership::Self self = membership_.self();
  const ChunkStore::Usage usage = store_.usage();
  v1::RegisterRequest request;
  *request.mutable_version() = OurProtocol();
  request.set_cluster_uuid(self.cluster_uuid);
  request.set_server_id(self.server.value());
  request.set_address(address_);
  request.set_start_id(start_id_);
  request.set_highest_handle(usage.highest_handle);
  request.set_capacity_bytes(usage.total_bytes);
  request.set_available_bytes(engine_.store_failed() ? 0 : usage.available_bytes);
  APPENDFS_ASSIGN_OR_RETURN(v1::RegisterResponse response, master_.Register(request));
  APPENDFS_RETURN_IF_ERROR(CheckProtocol(response.version(), "the master"));
  if (response.cluster_uuid().empty() || response.server_id() == 0)
    return MakeError(v1::INVALID, "the master's answer to Register names no cluster or server");
  if (!self.cluster_uuid.empty() && self.cluster_uuid != response.cluster_uuid())
    return MakeError(
        v1::WRONG_CLUSTER,
        StrCat("the data directory belongs to cluster ", self.cluster_uuid, ", the master to ",
               response.cluster_uuid(), "; use the right master, or an empty directory"));
  const ServerId server(response.server_id());
  if (self.cluster_uuid.empty())
    APPENDFS_RETURN_IF_ERROR(store_.SetIdentity({response.cluster_uuid(), server}));
  membership_.Registered(
      {response.cluster_uuid(), server, response.incarnation(), response.registration()});
  engine_.SetSelf(server);
  if (response.heartbeat_interval_ms() > 0)
    interval_ = std::chrono::milliseconds(response.heartbeat_interval_ms());
  APPENDFS_RETURN_IF_ERROR(ReportAll());
  LOG(INFO) << "registered as server " << server << " at " << address_ << " in cluster "
            << response.cluster_uuid() << ", registration " << response.registration();
  registered_ = true;
  return absl::OkStatus();
}

absl::Status Heartbeat::ReportAll() {
  const Membership::Self self = membership_.self();
  losses_reported_ = engine_.losses();  // before the replicas are listed
  ChunkHandle after;
  while (true) {
    const std::vector<ReplicaSummary> page = engine_.List(after, kReportPage);
    v1::ReportChunksRequest request;
    request.set_server_id(self.server.value());
    request.set_registration(self.registration);
    for (const ReplicaSummary& summary : page) {
      v1::ReplicaReport& report = *request.add_replicas();
      const ReplicaState& state = summary.state;
      after = state.identity.handle;
      report.set_handle(after.value());
      report.set_damaged(state.damaged);
      if (state.damaged) continue;
      report.set_epoch(state.epoch.value());
      report.set_sealed(state.sealed);
      report.set_length(state.durable_length);
      report.set_primary(summary.primary);
      report.set_degraded(summary.degraded);
      if (!state.sealed) continue;
      absl::StatusOr<uint32_t> crc = store_.PrefixCrc32c(after, state.durable_length);
      if (crc.ok())
        report.set_crc32c(*crc);
      else if (!HasReason(crc.status(), v1::UNKNOWN_CHUNK))
        report.set_damaged(true);
    }
    request.set_last(page.size() < kReportPage);
    APPENDFS_RETURN_IF_ERROR(master_.ReportChunks(request));
    if (request.last()) return absl::OkStatus();
  }
}

absl::Status Heartbeat::Beat() {
  const std::vector<ChunkEvent> events = events_.Wait(interval_, kEventsPerBeat);
  if (events_.closed()) return absl::OkStatus();
  const Membership::Self self = membership_.self();
  const ChunkStore::Usage usage = store_.usage();
  v1::HeartbeatRequest request;
  request.set_server_id(self.server.value());
  request.set_registration(self.registration);
  request.set_capacity_bytes(usage.total_bytes);
  request.set_available_bytes(engine_.store_failed() ? 0 : usage.available_bytes);
  request.set_chunks(usage.chunks);
  for (const ChunkEvent& event : events) *request.add_events() = ToProto(event);
  for (const DiskState& disk : store_.disks()) *request.add_disks() = ToProto(disk);
  APPENDFS_ASSIGN_OR_RETURN(v1::HeartbeatResponse response, master_.Heartbeat(request));
  if (response.register_again()) {
    registered_ = false;
  } else {
    events_.Acknowledge(events.size());
    // A whole report says better than events what a lost disk has held.
    if (engine_.losses() != losses_reported_) registered_ = false;
  }
  return absl::OkStatus();
}

}  // namespace appendfs
