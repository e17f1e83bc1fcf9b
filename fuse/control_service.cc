#include "fuse/control_service.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/mount_table.h"
#include "common/protocol.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "fuse/mount_report.h"
#include "proto/mount.grpc.pb.h"

namespace appendfs::fuse {
namespace {

constexpr Duration kLastAnswers = std::chrono::milliseconds(100);

class MountControl final : public v1::MountControl::Service {
 public:
  explicit MountControl(MountState& state) : state_(state) {}

  grpc::Status GetStats(grpc::ServerContext*, const v1::GetMountStatsRequest* request,
                        v1::GetMountStatsResponse* response) override {
    const absl::Status fits = CheckProtocol(request->version(), "the caller");
    if (fits.ok()) *response = ReportOf(state_);
    return ToGrpc(fits);
  }
  grpc::Status Abort(grpc::ServerContext*, const v1::AbortMountRequest* request,
                     v1::AbortMountResponse* response) override {
    const absl::Status fits = CheckProtocol(request->version(), "the caller");
    if (fits.ok()) *response = AbortAll(state_);
    return ToGrpc(fits);
  }

 private:
  MountState& state_;
};

// Only its owner may put a socket there: in a directory that others can write
// to, someone else might answer.
absl::Status MakeRunDirectory(const std::string& directory) {
  const mode_t mode = geteuid() == 0 ? 0755 : 0700;
  if (mkdir(directory.c_str(), mode) != 0 && errno != EEXIST)
    return ErrnoError("make directory", directory, errno);
  struct stat status = {};
  if (lstat(directory.c_str(), &status) != 0) return ErrnoError("look at", directory, errno);
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0)
    return MakeError(v1::ACCESS_DENIED,
                     StrCat(directory, " is not a directory that only this user can write to"));
  return absl::OkStatus();
}

class GrpcControlServer final : public ControlServer {
 public:
  GrpcControlServer(MountState& state, std::string socket)
      : socket_(std::move(socket)), service_(state) {}
  ~GrpcControlServer() override {
    if (server_ == nullptr) return;
    server_->Shutdown(kLastAnswers);
    unlink(socket_.c_str());
  }

  absl::Status Serve() {
    unlink(socket_.c_str());  // of a daemon that was killed
    APPENDFS_ASSIGN_OR_RETURN(server_, RpcServer::Start(StrCat("unix:", socket_), {&service_}));
    if (chmod(socket_.c_str(), 0600) != 0) return ErrnoError("protect", socket_, errno);
    return absl::OkStatus();
  }
  const std::string& socket() const override { return socket_; }

 private:
  const std::string socket_;
  MountControl service_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(MountState& state) {
  APPENDFS_ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  const std::optional<MountEntry> own = FindMount(table, state.options.mountpoint);
  if (!own)
    return MakeError(v1::NO_ENTRY,
                     StrCat(state.options.mountpoint, " is not among the kernel's mounts"));
  const std::string directory = RunDirectory(geteuid());
  APPENDFS_RETURN_IF_ERROR(MakeRunDirectory(directory));
  auto server = std::make_unique<GrpcControlServer>(state, ControlSocketOf(directory, *own));
  APPENDFS_RETURN_IF_ERROR(server->Serve());
  return std::unique_ptr<ControlServer>(std::move(server));
}

}  // namespace appendfs::fuse
