// What programs use: connecting, and calls by path.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "client/client_impl.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

std::string DefaultDescription() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return StrCat(program_invocation_short_name, " (pid ", getpid(), ") on ", host);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  if (options.master.empty()) return MakeError(v1::INVALID, "no master is named (host:port)");
  if (options.description.empty()) options.description = DefaultDescription();
  static const SystemClock clock;
  std::unique_ptr<Executor> timers = MakeThreadExecutor("afs-timers");
  std::unique_ptr<MetaCache> kept = options.keep_names ? std::make_unique<MetaCache>() : nullptr;
  std::unique_ptr<MasterClient> master = MasterClient::Create(options.master, *timers, clock);
  if (kept && !master->Watch(*kept)) kept.reset();
  absl::StatusOr<std::unique_ptr<Session>> session =
      Session::Open(*master, clock, {options.cluster_uuid, options.description},
                    clock.Monotonic() + options.connect_timeout);
  if (!session.ok()) {
    if (!IsTransient(session.status())) return session.status();
    return MakeError(v1::UNREACHABLE, StrCat("no answer from the master at ", options.master, " (",
                                             FromAbsl(session.status().message()),
                                             "): is appendfs-master running there?"));
  }
  return std::make_unique<ClientImpl>(std::move(options), std::move(timers),
                                      MakeThreadExecutor("afs-background"), std::move(kept),
                                      std::move(master), *std::move(session));
}

absl::StatusOr<FileStatus> ClientImpl::Resolve(std::string_view path) {
  APPENDFS_ASSIGN_OR_RETURN(ResolvedPath found, ResolvePath(*this, path, /*follow_last=*/false));
  if (!found.entry)
    return MakeError(v1::NO_ENTRY, StrCat("'", path, "': no such file or directory"));
  return statuses_->Complete(*found.entry, Deadline());
}

absl::StatusOr<std::shared_ptr<File>> ClientImpl::Open(std::string_view path,
                                                       const OpenOptions& options) {
  APPENDFS_ASSIGN_OR_RETURN(ResolvedPath found, ResolvePath(*this, path, /*follow_last=*/true));
  if (!found.entry) {
    if (!options.create)
      return MakeError(v1::NO_ENTRY, StrCat("'", path, "': no such file or directory"));
    NodeSpec spec;
    spec.mode = options.mode;
    spec.uid = geteuid();
    spec.gid = getegid();
    spec.exclusive = options.exclusive;
    spec.open = true;
    APPENDFS_ASSIGN_OR_RETURN(Made made, MakeNode(found.parent, found.name, spec));
    return OpenInode(made.status.inode, /*already_registered=*/true);
  }
  const v1::Attributes& attributes = found.entry->attributes();
  if (options.create && options.exclusive)
    return MakeError(v1::ENTRY_EXISTS, StrCat("'", path, "': file exists"));
  if (attributes.type() == v1::DIRECTORY)
    return MakeError(v1::IS_DIRECTORY, StrCat("'", path, "': is a directory"));
  if (attributes.type() != v1::REGULAR)
    return MakeError(v1::NOT_SUPPORTED, StrCat("'", path, "': is not a regular file"));
  return OpenInode(InodeId(attributes.inode()), /*already_registered=*/false);
}

}  // namespace appendfs
