#include "master/master_process.h"

#include <glog/logging.h>
#include <grpcpp/impl/codegen/service_type.h>

#include "common/clock.h"
#include "common/http/operations_port.h"
#include "common/link/shared_port.h"
#include "common/rpc/server.h"
#include "common/server_file_system.h"
#include "common/str_cat.h"
#include "master/chunks/chunk_manager.h"
#include "master/locks/locks.h"
#include "master/namespace/meta_machine.h"
#include "master/operations/cluster_status.h"
#include "master/operations/master_metrics.h"
#include "master/rocksdb_meta_log.h"
#include "master/rpc/admin_service.h"
#include "master/rpc/client_stream.h"
#include "master/rpc/lock_service.h"
#include "master/rpc/registry_service.h"
#include "master/sessions/open_inodes.h"
#include "master/sessions/sessions.h"

namespace appendfs {
namespace {

constexpr Duration kPatience = std::chrono::seconds(2);  // for calls under way at the end
// A read that must wait for the disk holds up the other clients of its thread.
constexpr int kLinkThreads = 4;

class RunningMaster final : public MasterProcess {
 public:
  absl::Status Open(MasterOptions options) {
    // Before the tables: the message says who has them.
    APPENDFS_RETURN_IF_ERROR(files_->MakeDirectory(options.data_dir));
    APPENDFS_ASSIGN_OR_RETURN(lock_, files_->LockFile(options.data_dir + "/master.lock"));
    MetaLogOptions log_options;
    log_options.gate = &open_inodes_;
    log_options.on_failure = std::move(options.on_failure);
    APPENDFS_ASSIGN_OR_RETURN(opened_,
                              OpenRocksDbMetaLog(options.data_dir, machine_, clock_, log_options));
    if (opened_.created)
      LOG(INFO) << "new cluster " << opened_.cluster_uuid << " in " << options.data_dir;
    SessionOptions session_options;
    session_options.timeout = std::chrono::seconds(options.session_timeout_seconds);
    APPENDFS_ASSIGN_OR_RETURN(
        sessions_, Sessions::Create(session_options, *opened_.log, open_inodes_, clock_));
    ChunkManagerOptions chunk_options;
    chunk_options.chunk_bytes = options.chunk_bytes;
    locks_ = std::make_unique<Locks>(*sessions_, sessions_->clients(), clock_);
    sessions_->OnEnd([this](ClientId client) { locks_->EndClient(client); });
    APPENDFS_ASSIGN_OR_RETURN(chunks_,
                              ChunkManager::Create(chunk_options, *opened_.log, *sessions_, clock_,
                                                   opened_.incarnation, opened_.cluster_uuid));
    sessions_->Start(
        [this](std::vector<ChunkHandle> handles) { chunks_->AddGarbage(std::move(handles)); });

    MasterParts parts{*opened_.log, open_inodes_,         *sessions_,          *chunks_,
                      clock_,       opened_.cluster_uuid, opened_.incarnation, options.chunk_bytes};
    calls_ = std::make_unique<MasterCalls>(parts);
    watches_ = std::make_unique<Watches>(clock_, /*restarted=*/!opened_.created);
    services_.push_back(MakeAdminService(parts));
    services_.push_back(MakeLockService(*locks_));
    services_.push_back(MakeRegistryService(*chunks_));
    std::vector<grpc::Service*> services;
    for (const auto& service : services_) services.push_back(service.get());
    APPENDFS_ASSIGN_OR_RETURN(server_, RpcServer::StartPortless(services));
    APPENDFS_ASSIGN_OR_RETURN(port_,
                              SharedPort::Listen(links_, options.listen, OnLink(), OnOther()));
    return ServeHttp(options, parts);
  }

  ~RunningMaster() override {
    http_.reset();
    if (port_) port_->Close();
    if (server_) server_->Shutdown(kPatience);
    // The log answers what it has been given, over links that are still there.
    if (opened_.log) opened_.log->Stop();
    if (watches_) watches_->Stop();
    links_.Stop();
    // The services' reactors are gone with the server; members go in the
    // opposite order of their making.
  }

  int port() const override { return port_->port(); }
  int http_port() const override { return http_ ? http_->port() : 0; }
  std::string cluster_uuid() const override { return opened_.cluster_uuid; }
  uint64_t incarnation() const override { return opened_.incarnation; }

 private:
  absl::Status ServeHttp(const MasterOptions& options, const MasterParts& parts) {
    OperationsPort::Parts http{APPENDFS_VERSION, [parts] { return ClusterIsReady(parts); }, {}};
    http.metrics.push_back(std::make_shared<MasterMetrics>(
        [parts] { return ClusterStatus(parts); }, [this] { return chunks_->ListServers(); }));
    const std::string host = options.listen.substr(0, options.listen.rfind(':'));
    APPENDFS_ASSIGN_OR_RETURN(
        http_, OperationsPort::Start(options.http, StrCat(host, ":", port_->port()), http));
    return absl::OkStatus();
  }
  SharedPort::OnLink OnLink() {
    return [this](LinkKind kind,
                  const std::shared_ptr<FrameLink>& link) -> std::shared_ptr<FrameLink::Owner> {
      if (kind != LinkKind::kMaster) return nullptr;
      return std::make_shared<ClientStream>(link, *calls_, *watches_);
    };
  }
  SharedPort::OnOther OnOther() {
    return [this](int descriptor) { server_->Adopt(descriptor); };
  }

  IoThreads links_{"links", kLinkThreads};  // first: answers that come late hold links
  const std::unique_ptr<FileSystem> files_ = MakeServerFileSystem();
  std::unique_ptr<FileSystem::Lock> lock_;
  const SystemClock clock_{};
  MetaMachine machine_;
  OpenInodes open_inodes_;
  std::unique_ptr<Watches> watches_;
  std::unique_ptr<MasterCalls> calls_;  // what the log and the chunks still answer goes by them
  OpenedMetaLog opened_;
  std::unique_ptr<Sessions> sessions_;
  std::unique_ptr<Locks> locks_;
  std::unique_ptr<ChunkManager> chunks_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<SharedPort> port_;
  std::unique_ptr<OperationsPort> http_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MasterProcess>> MasterProcess::Start(MasterOptions options) {
  auto master = std::make_unique<RunningMaster>();
  APPENDFS_RETURN_IF_ERROR(master->Open(std::move(options)));
  return master;
}

}  // namespace appendfs
