#include <sys/statvfs.h>

#include <algorithm>

#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

// The most that kernel and libfuse take in one request.
constexpr unsigned kLargestRequest = 1 << 20;
constexpr unsigned kBackgroundRequests = 128;
constexpr uint64_t kBlockBytes = 4096;
constexpr uint64_t kFreeInodes = 1ull << 32;  // there is no limit; programs want a number

void Init(void* user_data, fuse_conn_info* connection) {
  auto& state = *static_cast<MountState*>(user_data);
  // Never: the kernel would merge, tear and reorder writes (WRITEBACK_CACHE),
  // or send two of one file at once (ASYNC_DIO). Without HANDLE_KILLPRIV the
  // kernel clears set-id bits itself on chown; for writes we do.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_DIO |
                                             FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ |
                                             FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  // O_TRUNC has to reach open and create, which refuse it.
  connection->want |= connection->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS);
  if (state.client.Lends() && (connection->capable & FUSE_CAP_EXPIRE_ONLY) != 0)
    state.lending.LendNames();
  if (!state.ReadDirectoryPlus())
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
  connection->max_write = std::min(connection->max_write, kLargestRequest);
  connection->max_readahead = std::max(connection->max_readahead, kLargestRequest);
  connection->max_background = kBackgroundRequests;
  connection->congestion_threshold = kBackgroundRequests * 3 / 4;
  connection->time_gran = 1;
  if (state.on_serving) state.on_serving();
}

void StatFs(fuse_req_t request, fuse_ino_t) {
  const absl::StatusOr<FileSystemStatus> status = StateOf(request).client.StatFs();
  if (!status.ok()) return ReplyStatus(request, status.status());
  struct statvfs answer = {};
  answer.f_bsize = answer.f_frsize = kBlockBytes;
  answer.f_blocks = status->total_bytes / kBlockBytes;
  answer.f_bfree = answer.f_bavail = status->available_bytes / kBlockBytes;
  answer.f_files = status->files + kFreeInodes;
  answer.f_ffree = answer.f_favail = kFreeInodes;
  answer.f_namemax = 255;
  fuse_reply_statfs(request, &answer);
}

}  // namespace

void AddSystemOperations(fuse_lowlevel_ops& operations) {
  operations.init = Init;
  operations.statfs = StatFs;
}

}  // namespace appendfs::fuse
