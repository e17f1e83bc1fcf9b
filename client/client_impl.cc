#include "client/client_impl.h"

#include <algorithm>

#include "client/local_host.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr Duration kIdleBlocks = std::chrono::seconds(3);

AppenderOptions ToAppenderOptions(const ClientOptions& options, uint64_t chunk_bytes) {
  AppenderOptions result;
  result.timeout = options.timeout;
  result.batch_bytes = options.batch_bytes;
  if (chunk_bytes > 0) result.batch_bytes = std::min(result.batch_bytes, chunk_bytes);
  return result;
}

}  // namespace

ClientImpl::ClientImpl(ClientOptions options, std::unique_ptr<Executor> timers,
                       std::unique_ptr<Executor> background, std::unique_ptr<MetaCache> kept,
                       std::unique_ptr<MasterClient> master, std::unique_ptr<Session> session)
    : options_(std::move(options)),
      queue_budget_(options_.queue_bytes),
      readahead_budget_(8 * options_.readahead_bytes),
      timers_(std::move(timers)),
      background_(std::move(background)),
      kept_(std::move(kept)),
      master_(std::move(master)),
      session_(std::move(session)) {
  locks_ = std::make_unique<MasterLocks>(LockMaster::Create(options_.master, clock_), *session_,
                                         clock_, *timers_, options_.timeout);
  links_ = std::make_unique<IoThreads>("links");
  chunks_ = ChunkClient::Create(session_->cluster_uuid(), *links_, *timers_, clock_);
  streams_ = AppendStreams::Create(session_->cluster_uuid(), *links_, *timers_, clock_);
  replicas_ =
      std::make_unique<ReplicaReader>(*chunks_, clock_, *timers_, IsThisHost,
                                      [this](ChunkHandle handle, ServerId server, Reason reason) {
                                        v1::ReportReplicaRequest report;
                                        report.set_client_id(session_->id().value());
                                        report.set_handle(handle.value());
                                        report.set_server_id(server.value());
                                        report.set_reason(reason);
                                        master_->ReportReplica(report);
                                      });
  statuses_ = std::make_unique<StatusResolver>(
      *chunks_, clock_,
      [this](InodeId inode, Duration deadline) { return GetEntry(inode, deadline); },
      [this](InodeId inode) -> std::shared_ptr<KnownSize> {
        std::shared_ptr<FileState> state = files_->Find(inode);
        return state == nullptr ? nullptr : state->known;
      },
      [this](InodeId inode) {
        const MetaCache* kept = Believed();
        return kept == nullptr ? std::nullopt : kept->FindEntry(inode);
      });
  AppenderOptions appending = ToAppenderOptions(options_, session_->chunk_bytes());
  appenders_.reset(new Appender::Shared{clock_, *timers_, *master_, *streams_, *session_,
                                        sequences_, queue_budget_, appending});
  readers_.reset(new Reader::Shared{clock_, *this, *chunks_, *replicas_, readahead_budget_,
                                    options_.readahead_bytes});
  files_ = std::make_unique<OpenFiles>(MakeHooks(), *background_);
  handles_.reset(
      new FileImpl::Shared{clock_, *files_, *statuses_, options_.timeout, appending.batch_bytes});
  session_->Start(*this);
  DropIdleBlocksLater(*background_);
}

// Nothing below may call what is already gone: first no more calls come in,
// then no more callbacks, then the parts go. What the master still answers
// about tails finds the streams there, though their links are closed.
ClientImpl::~ClientImpl() {
  session_->Close();
  background_.reset();
  for (const auto& state : files_->States())
    state->appender->Fail(MakeError(v1::SHUTTING_DOWN, "the client was closed"));
  files_->Stop();
  master_->Stop();
  chunks_->Stop();
  links_->Stop();
  locks_->Stop();
  timers_.reset();
  chunks_.reset();
  master_.reset();
}

template <class Request>
auto ClientImpl::Call(Request request, Duration deadline) {
  while (true) {
    ClientId client = session_->id();
    request.set_client_id(client.value());
    auto response = master_->Call(request, deadline);
    if (!HasReason(response.status(), v1::SESSION_EXPIRED)) return response;
    session_->OnExpired(client);
    if (!session_->AwaitAfter(client, deadline)) return response;
  }
}

template <class Request>
auto ClientImpl::Mutate(Request request, Duration deadline) {
  while (true) {
    *request.mutable_mutation() = session_->mutations().Begin();
    ClientId client(request.mutation().client_id());
    auto response = master_->Call(request, deadline);
    session_->mutations().End(request.mutation());
    if (!HasReason(response.status(), v1::SESSION_EXPIRED)) return response;
    session_->OnExpired(client);
    if (!session_->AwaitAfter(client, deadline)) return response;
  }
}

OpenFiles::Hooks ClientImpl::MakeHooks() {
  OpenFiles::Hooks hooks;
  hooks.open = [this](InodeId inode) {
    v1::OpenRequest request;
    request.set_inode(inode.value());
    return Call(std::move(request), Deadline());
  };
  hooks.release = [this](const std::vector<InodeId>& inodes) {
    v1::ReleaseRequest request;
    request.set_client_id(session_->id().value());
    for (InodeId inode : inodes) request.add_inodes(inode.value());
    // A session that has expired has nothing open.
    return master_->Call(request, clock_.Monotonic() + std::chrono::seconds(2)).status();
  };
  hooks.make_state = [this](InodeId inode, const v1::FilePlan* plan) {
    return MakeState(inode, plan);
  };
  hooks.when_idle = [](FileState& state, absl::AnyInvocable<void() &&> done) {
    state.appender->Flush(std::move(done));
  };
  hooks.make_file = [this](std::shared_ptr<FileState> state) {
    return std::make_shared<FileImpl>(std::move(state), *handles_);
  };
  return hooks;
}

std::shared_ptr<FileState> ClientImpl::MakeState(InodeId inode, const v1::FilePlan* plan) {
  auto state = std::make_shared<FileState>();
  state->inode = inode;
  state->known = std::make_shared<KnownSize>();
  state->appender = std::make_shared<Appender>(inode, *appenders_, state->known);
  state->reader = std::make_shared<Reader>(inode, *readers_, state->known);
  if (plan != nullptr) state->reader->SetPlan(*plan);
  return state;
}

// The last time may be while `background_` is being reset.
void ClientImpl::DropIdleBlocksLater(Executor& on) {
  on.PostAfter(kIdleBlocks, [this, &on] {
    Duration since = clock_.Monotonic() - kIdleBlocks;
    for (const auto& state : files_->States()) state->reader->DropIdleBlocks(since);
    DropIdleBlocksLater(on);
  });
}

void ClientImpl::OnNewSession(ClientId client) {
  locks_->OnNewSession(client);
  for (const auto& state : files_->States()) state->appender->OnSession(client);
}

absl::StatusOr<v1::Entry> ClientImpl::GetEntry(InodeId inode, Duration deadline) {
  v1::GetAttributesRequest request;
  request.set_inode(inode.value());
  const MetaCache::Ticket ticket = Ticket();
  absl::StatusOr<v1::Entry> entry = Call(std::move(request), deadline);
  if (kept_ && entry.ok()) kept_->KeepEntry(ticket, *entry);
  return entry;
}

void ClientImpl::AfterFailure(const absl::Status& status) {
  if (kept_ && (IsTransient(status) || HasReason(status, v1::IN_DOUBT))) kept_->OnLost();
}

void ClientImpl::AfterChange(const absl::Status& status, const std::vector<InodeId>& inodes) {
  if (kept_ && status.ok()) kept_->OnOwnChange(inodes);
  if (!status.ok()) AfterFailure(status);
}

absl::StatusOr<v1::FilePlan> ClientImpl::GetPlan(InodeId inode, uint32_t from_index,
                                                 Duration deadline) {
  v1::GetPlanRequest request;
  request.set_inode(inode.value());
  request.set_from_index(from_index);
  return Call(std::move(request), deadline);
}

absl::StatusOr<v1::Entry> ClientImpl::Root() { return GetEntry(kRootInode, Deadline()); }

absl::StatusOr<v1::Entry> ClientImpl::LookupEntry(InodeId parent, std::string_view name) {
  v1::LookupRequest request;
  request.set_parent(parent.value());
  request.set_name(std::string(name));
  return Call(std::move(request), Deadline());
}

absl::StatusOr<FileStatus> ClientImpl::Lookup(InodeId parent, std::string_view name) {
  if (const MetaCache* kept = Believed())
    if (const auto entry = kept->FindName(parent, name)) {
      if (entry->has_attributes()) return statuses_->AsKnown(*entry);
      return MakeError(v1::NO_ENTRY,
                       StrCat("'", name, "' in inode ", parent, ": no such file or directory"));
    }
  const MetaCache::Ticket ticket = Ticket();
  absl::StatusOr<v1::Entry> entry = LookupEntry(parent, name);
  if (kept_ && entry.ok()) kept_->KeepName(ticket, parent, name, *entry);
  if (kept_ && HasReason(entry.status(), v1::NO_ENTRY)) kept_->KeepAbsence(ticket, parent, name);
  if (!entry.ok()) return entry.status();
  return statuses_->AsKnown(*entry);
}

absl::StatusOr<FileStatus> ClientImpl::Stat(InodeId inode) {
  std::shared_ptr<FileState> state = files_->Find(inode);
  return statuses_->Get(inode, state == nullptr ? std::nullopt : state->reader->Tail(), Deadline());
}

void ClientImpl::SetBorrower(Borrower* borrower) {
  if (kept_) kept_->SetBorrower(borrower);
}

Duration ClientImpl::LendStatus(uint64_t ticket, InodeId inode) const {
  const Duration until = master_->BelievedUntil();
  if (!kept_ || !kept_->KeepsEntry({ticket}, inode)) return Duration::zero();
  return std::max(until - clock_.Monotonic(), Duration::zero());
}

Duration ClientImpl::LendName(uint64_t ticket, InodeId parent, std::string_view name,
                              InodeId inode) const {
  const Duration until = master_->BelievedUntil();
  if (!kept_ || !kept_->KeepsName({ticket}, parent, name, inode)) return Duration::zero();
  return std::max(until - clock_.Monotonic(), Duration::zero());
}

absl::StatusOr<FileStatus> ClientImpl::SetAttributes(InodeId inode, const AttributeChange& change) {
  v1::SetAttributesRequest request;
  request.set_inode(inode.value());
  if (change.mode) request.set_mode(*change.mode);
  if (change.uid) request.set_uid(*change.uid);
  if (change.gid) request.set_gid(*change.gid);
  if (change.atime_ns) request.set_atime_ns(*change.atime_ns);
  if (change.mtime_ns) request.set_mtime_ns(*change.mtime_ns);
  request.set_atime_now(change.atime_now);
  request.set_mtime_now(change.mtime_now);
  absl::StatusOr<v1::Entry> entry = Mutate(std::move(request), Deadline());
  AfterChange(entry.status(), {inode});
  if (!entry.ok()) return entry.status();
  return statuses_->Complete(*entry, Deadline());
}

absl::StatusOr<Client::Made> ClientImpl::MakeNode(InodeId parent, std::string_view name,
                                                  const NodeSpec& spec) {
  v1::MakeNodeRequest request;
  request.set_parent(parent.value());
  request.set_name(std::string(name));
  request.set_type(spec.type);
  request.set_mode(spec.mode);
  request.set_uid(spec.uid);
  request.set_gid(spec.gid);
  request.set_symlink_target(spec.symlink_target);
  request.set_exclusive(spec.exclusive);
  request.set_open(spec.open);
  if (spec.open) files_->BeginRegistering();
  const MetaCache::Ticket ticket = Ticket();
  absl::StatusOr<v1::MakeNodeResponse> response = Mutate(std::move(request), Deadline());
  if (spec.open)
    files_->EndRegistering(response.ok() ? InodeId(response->entry().attributes().inode())
                                         : InodeId());
  AfterFailure(response.status());
  if (!response.ok()) return response.status();
  if (kept_ && response->created())
    kept_->Made(ticket, parent, name, response->entry(), response->after());
  APPENDFS_ASSIGN_OR_RETURN(FileStatus status, statuses_->Complete(response->entry(), Deadline()));
  return Made{status, response->created()};
}

absl::StatusOr<std::string> ClientImpl::ReadLink(InodeId inode) {
  v1::ReadLinkRequest request;
  request.set_inode(inode.value());
  APPENDFS_ASSIGN_OR_RETURN(v1::ReadLinkResponse response, Call(std::move(request), Deadline()));
  return std::move(*response.mutable_target());
}

absl::StatusOr<FileStatus> ClientImpl::Link(InodeId inode, InodeId parent, std::string_view name) {
  v1::LinkRequest request;
  request.set_inode(inode.value());
  request.set_parent(parent.value());
  request.set_name(std::string(name));
  absl::StatusOr<v1::Entry> entry = Mutate(std::move(request), Deadline());
  AfterChange(entry.status(), {inode, parent});
  if (!entry.ok()) return entry.status();
  return statuses_->AsKnown(*entry);
}

absl::Status ClientImpl::Remove(InodeId parent, std::string_view name, bool directory) {
  v1::UnlinkRequest request;
  request.set_parent(parent.value());
  request.set_name(std::string(name));
  request.set_directory(directory);
  const MetaCache::Ticket ticket = Ticket();
  const auto response = Mutate(std::move(request), Deadline());
  AfterFailure(response.status());
  if (kept_ && response.ok())
    kept_->Removed(ticket, parent, name, InodeId(response->inode()), response->after());
  return response.status();
}
absl::Status ClientImpl::Unlink(InodeId parent, std::string_view name) {
  return Remove(parent, name, false);
}
absl::Status ClientImpl::RemoveDirectory(InodeId parent, std::string_view name) {
  return Remove(parent, name, true);
}

absl::Status ClientImpl::Rename(InodeId parent, std::string_view name, InodeId new_parent,
                                std::string_view new_name, RenameFlags flags) {
  v1::RenameRequest request;
  request.set_parent(parent.value());
  request.set_name(std::string(name));
  request.set_new_parent(new_parent.value());
  request.set_new_name(std::string(new_name));
  request.set_no_replace(flags.no_replace);
  request.set_exchange(flags.exchange);
  const MetaCache::Ticket ticket = Ticket();
  const auto response = Mutate(std::move(request), Deadline());
  AfterFailure(response.status());
  if (kept_ && response.ok())
    kept_->Renamed(ticket, parent, name, new_parent, new_name, InodeId(response->inode()),
                   InodeId(response->replaced_inode()), flags.exchange, response->after());
  return response.status();
}

absl::StatusOr<DirectoryPage> ClientImpl::ReadDirectory(InodeId inode, std::string_view after,
                                                        uint32_t limit, bool with_status) {
  v1::ReadDirectoryRequest request;
  request.set_inode(inode.value());
  request.set_after(std::string(after));
  request.set_limit(limit);
  // Who lists names often asks for their attributes next.
  request.set_with_entries(with_status || kept_ != nullptr);
  const MetaCache::Ticket ticket = Ticket();
  APPENDFS_ASSIGN_OR_RETURN(v1::ReadDirectoryResponse response,
                            Call(std::move(request), Deadline()));
  if (kept_) kept_->KeepPage(ticket, inode, response, after.empty() && response.end());
  DirectoryPage page;
  page.end = response.end();
  page.parent = InodeId(response.parent());
  std::vector<v1::Entry> entries;
  for (v1::DirectoryEntry& listed : *response.mutable_entries()) {
    page.entries.push_back({std::move(*listed.mutable_name()),
                            InodeId(listed.inode()),
                            listed.type(),
                            {},
                            ticket.drawn});
    if (with_status) entries.push_back(std::move(*listed.mutable_entry()));
  }
  if (!with_status) return page;
  if (kept_) {
    for (size_t i = 0; i < entries.size(); ++i)
      page.entries[i].status = statuses_->AsKnown(entries[i]);
    return page;
  }
  std::vector<absl::StatusOr<FileStatus>> all = statuses_->CompleteAll(entries, Deadline());
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i].ok()) page.entries[i].status = *std::move(all[i]);
  return page;
}

absl::StatusOr<FileSystemStatus> ClientImpl::StatFs() {
  APPENDFS_ASSIGN_OR_RETURN(v1::StatFsResponse response, Call(v1::StatFsRequest(), Deadline()));
  return FileSystemStatus{response.total_bytes(), response.available_bytes(), response.files()};
}

absl::StatusOr<std::string> ClientImpl::GetXattr(InodeId inode, std::string_view name) {
  v1::GetXattrRequest request;
  request.set_inode(inode.value());
  request.set_name(std::string(name));
  APPENDFS_ASSIGN_OR_RETURN(v1::GetXattrResponse response, Call(std::move(request), Deadline()));
  return std::move(*response.mutable_value());
}

absl::StatusOr<std::vector<std::string>> ClientImpl::ListXattrs(InodeId inode) {
  v1::ListXattrsRequest request;
  request.set_inode(inode.value());
  APPENDFS_ASSIGN_OR_RETURN(v1::ListXattrsResponse response, Call(std::move(request), Deadline()));
  return std::vector<std::string>(response.names().begin(), response.names().end());
}

absl::Status ClientImpl::SetXattr(InodeId inode, std::string_view name, std::string_view value,
                                  XattrFlags flags) {
  v1::SetXattrRequest request;
  request.set_inode(inode.value());
  request.set_name(std::string(name));
  request.set_value(std::string(value));
  request.set_create(flags.create);
  request.set_replace(flags.replace);
  absl::Status status = Mutate(std::move(request), Deadline()).status();
  AfterChange(status, {inode});
  return status;
}

absl::Status ClientImpl::RemoveXattr(InodeId inode, std::string_view name) {
  v1::RemoveXattrRequest request;
  request.set_inode(inode.value());
  request.set_name(std::string(name));
  absl::Status status = Mutate(std::move(request), Deadline()).status();
  AfterChange(status, {inode});
  return status;
}

absl::StatusOr<std::vector<v1::Chunk>> ClientImpl::Chunks(InodeId inode) {
  APPENDFS_ASSIGN_OR_RETURN(v1::FilePlan plan, GetPlan(inode, 0, Deadline()));
  return std::vector<v1::Chunk>(plan.chunks().begin(), plan.chunks().end());
}

absl::StatusOr<std::shared_ptr<File>> ClientImpl::OpenInode(InodeId inode,
                                                            bool already_registered) {
  return files_->Open(inode, already_registered);
}

std::vector<AppendQueueReport> ClientImpl::AppendQueues() const {
  std::vector<AppendQueueReport> reports;
  for (const auto& state : files_->States()) {
    AppendQueueReport report = state->appender->Report();
    if (report.records > 0) reports.push_back(std::move(report));
  }
  std::sort(reports.begin(), reports.end(),
            [](const auto& a, const auto& b) { return a.waiting > b.waiting; });
  return reports;
}

AppendsGivenUp ClientImpl::GiveUpAppends(const absl::Status& why) {
  AppendsGivenUp all;
  for (const auto& state : files_->States()) {
    const AppendQueueReport had = state->appender->Fail(why);
    if (had.records > 0) ++all.files;
    all.records += had.records;
    all.bytes += had.bytes;
  }
  return all;
}

}  // namespace appendfs
