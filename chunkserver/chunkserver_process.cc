#include "chunkserver/chunkserver_process.h"

#include <glog/logging.h>
#include <unistd.h>

#include <utility>

#include "chunkserver/engine/chunk_reader.h"
#include "chunkserver/engine/conformer.h"
#include "chunkserver/engine/control.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/event_queue.h"
#include "chunkserver/engine/heartbeat.h"
#include "chunkserver/engine/membership.h"
#include "chunkserver/engine/worker_pool.h"
#include "chunkserver/operations/server_metrics.h"
#include "chunkserver/rpc/append_stream.h"
#include "chunkserver/rpc/call_stream.h"
#include "chunkserver/rpc/control_service.h"
#include "chunkserver/rpc/fetch_client.h"
#include "chunkserver/rpc/master_link.h"
#include "chunkserver/rpc/peer_stream_client.h"
#include "chunkserver/rpc/peer_stream_server.h"
#include "chunkserver/store/disk_set.h"
#include "common/clock.h"
#include "common/executor.h"
#include "common/http/operations_port.h"
#include "common/link/io_threads.h"
#include "common/link/shared_port.h"
#include "common/rpc/server.h"
#include "common/server_file_system.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kShutdownPatience = std::chrono::milliseconds(100);

// What others are told: `listen` with the port taken, and this host's name in
// place of "any address".
std::string AdvertisedAddress(const std::string& listen, int port) {
  std::string host = listen.substr(0, listen.rfind(':'));
  if (host.empty() || host == "0.0.0.0" || host == "[::]" || host == "*") {
    char name[256] = "localhost";
    gethostname(name, sizeof(name) - 1);
    host = name;
  }
  return StrCat(host, ":", port);
}

}  // namespace

// In the order of construction; Stop takes them down.
struct ChunkserverProcess::Parts {
  explicit Parts(std::unique_ptr<FileSystem> files) : fs(std::move(files)) {}
  ~Parts() { Stop(); }

  absl::Status Start(const ChunkserverOptions& options,
                     absl::AnyInvocable<void(absl::Status) &&> on_fatal);
  void ScheduleTick(Executor& on);
  absl::Status Listen(const std::string& listen);
  std::shared_ptr<FrameLink::Owner> OnLink(LinkKind kind, const std::shared_ptr<FrameLink>& link);
  absl::Status ServeHttp(const ChunkserverOptions& options);
  absl::Status IsReady() const;
  void Stop();

  const std::unique_ptr<FileSystem> fs;
  const SystemClock clock;
  const std::shared_ptr<ServerMetrics> metrics = std::make_shared<ServerMetrics>();
  std::unique_ptr<ChunkStore> store;
  std::unique_ptr<Membership> membership;
  EventQueue events;
  std::unique_ptr<Executor> background;  // reads that the store's thread made ready
  std::unique_ptr<Executor> timers;      // ticks, reconnects
  std::unique_ptr<IoThreads> links;      // the data path
  std::unique_ptr<PeerStreams> peers;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ChunkReader> reader;
  std::unique_ptr<FetchClient> fetcher;
  std::unique_ptr<Conformer> conformer;
  std::unique_ptr<Control> control;
  std::unique_ptr<WorkerPool> quick, copies, readers;
  std::unique_ptr<ControlService> control_service;
  std::unique_ptr<RpcServer> server;
  std::shared_ptr<SharedPort> port;
  std::string address;
  std::unique_ptr<MasterLink> master;
  std::unique_ptr<Heartbeat> heartbeat;
  std::unique_ptr<OperationsPort> http;
};

absl::Status ChunkserverProcess::Parts::Start(const ChunkserverOptions& options,
                                              absl::AnyInvocable<void(absl::Status) &&> on_fatal) {
  StoreOptions store_options;
  store_options.observer = metrics.get();
  APPENDFS_ASSIGN_OR_RETURN(store, DiskSet::Open(*fs, clock, options.data_dirs, store_options));
  metrics->SetStore(store.get());
  const StoreIdentity identity = store->identity();
  membership = std::make_unique<Membership>(identity.cluster_uuid, identity.server);
  background = MakeThreadExecutor("background");
  timers = MakeThreadExecutor("timers");
  links = std::make_unique<IoThreads>("links");
  peers = std::make_unique<PeerStreams>(*membership, *links, *timers);
  EngineOptions engine_options;
  engine_options.sequencer.idle_after = std::chrono::seconds(options.park_after);
  engine = std::make_unique<Engine>(*store, clock, *background, *peers, events, engine_options);
  engine->SetSelf(identity.server);
  peers->SetEngine(engine.get());
  store->Start(*engine);

  reader = std::make_unique<ChunkReader>(*engine, *store);
  fetcher = std::make_unique<FetchClient>(*membership, *links, *timers, clock);
  conformer = std::make_unique<Conformer>(*engine, *store, *fetcher);
  control = std::make_unique<Control>(*engine, *store, *conformer, *membership);
  quick = std::make_unique<WorkerPool>("commands", 2);
  copies = std::make_unique<WorkerPool>("copies", 2);
  readers = std::make_unique<WorkerPool>("readers", 4);
  control_service = std::make_unique<ControlService>(*control, *quick, *copies);
  APPENDFS_ASSIGN_OR_RETURN(server, RpcServer::StartPortless({control_service.get()}));
  APPENDFS_RETURN_IF_ERROR(Listen(options.listen));
  address = options.advertise.empty() ? AdvertisedAddress(options.listen, port->port())
                                      : options.advertise;
  ScheduleTick(*timers);
  master = MakeGrpcMasterLink(options.master);
  heartbeat = std::make_unique<Heartbeat>(*engine, *store, *membership, events, *master, clock,
                                          address, std::move(on_fatal));
  heartbeat->Start();
  return ServeHttp(options);
}

absl::Status ChunkserverProcess::Parts::ServeHttp(const ChunkserverOptions& options) {
  OperationsPort::Parts of{APPENDFS_VERSION, [this] { return IsReady(); }, {metrics}};
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  APPENDFS_ASSIGN_OR_RETURN(
      http, OperationsPort::Start(options.http, StrCat(host, ":", port->port()), std::move(of)));
  return absl::OkStatus();
}

absl::Status ChunkserverProcess::Parts::IsReady() const {
  if (membership->self().registration == 0)
    return MakeError(v1::NOT_READY, "the master has not registered this server yet");
  std::string failed;
  for (const DiskState& disk : store->disks()) {
    if (disk.failure.empty()) return absl::OkStatus();
    failed += StrCat(failed.empty() ? "" : "; ", disk.failure);
  }
  return MakeError(v1::NOT_READY, StrCat("no disk is in use: ", failed));
}

absl::Status ChunkserverProcess::Parts::Listen(const std::string& listen) {
  auto on_link = [this](LinkKind kind, const std::shared_ptr<FrameLink>& link) {
    return OnLink(kind, link);
  };
  auto on_other = [this](int descriptor) { server->Adopt(descriptor); };
  APPENDFS_ASSIGN_OR_RETURN(port, SharedPort::Listen(*links, listen, on_link, on_other));
  return absl::OkStatus();
}

std::shared_ptr<FrameLink::Owner> ChunkserverProcess::Parts::OnLink(
    LinkKind kind, const std::shared_ptr<FrameLink>& link) {
  switch (kind) {
    case LinkKind::kAppend: return std::make_shared<AppendStream>(link, *engine, *membership);
    case LinkKind::kReplicate:
      return std::make_shared<PeerStreamServer>(link, *engine, *membership);
    case LinkKind::kCalls:
      return std::make_shared<CallStream>(link, *reader, *membership, *readers);
    case LinkKind::kMaster: break;
  }
  return nullptr;
}

// The last tick may run while `timers` is being reset.
void ChunkserverProcess::Parts::ScheduleTick(Executor& on) {
  on.PostAfter(Engine::kTickInterval, [this, &on] {
    engine->Tick();
    ScheduleTick(on);
  });
}

// The store's threads call the engine until the store is gone, and the engine
// posts to `background`; so those go last.
void ChunkserverProcess::Parts::Stop() {
  http.reset();
  metrics->SetStore(nullptr);
  if (heartbeat) heartbeat->Stop();
  if (engine) engine->StopAppends();
  if (port) port->Close();
  if (fetcher) fetcher->Stop();  // commands wait for it, and gRPC for them
  if (server) server->Shutdown(kShutdownPatience);
  if (quick) quick->Stop();
  if (copies) copies->Stop();
  if (readers) readers->Stop();
  if (peers) peers->Stop();
  if (links) links->Stop();
  timers.reset();
  store.reset();
  background.reset();
}

ChunkserverProcess::ChunkserverProcess(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

absl::StatusOr<std::unique_ptr<ChunkserverProcess>> ChunkserverProcess::Start(
    const ChunkserverOptions& options, absl::AnyInvocable<void(absl::Status) &&> on_fatal) {
  auto parts = std::make_unique<Parts>(MakeServerFileSystem());
  APPENDFS_RETURN_IF_ERROR(parts->Start(options, std::move(on_fatal)));
  return std::unique_ptr<ChunkserverProcess>(new ChunkserverProcess(std::move(parts)));
}

ChunkserverProcess::~ChunkserverProcess() = default;

const std::string& ChunkserverProcess::address() const { return parts_->address; }

}  // namespace appendfs
