#include "tests/sim/client_node.h"

#include <algorithm>
#include <utility>

#include "chunkserver/core/messages.h"
#include "common/crc32c.h"
#include "tests/sim/master_node.h"
#include "tests/sim/names.h"
#include "tests/sim/server_node.h"

namespace appendfs::sim {

uint32_t ClientNode::last_process_ = 0;

// Blocking calls are repeated until their deadline, as in the product.
class ClientNode::Master final : public MasterClient {
 public:
  Master(World& world, Host& host, const Clock& clock)
      : world_(world), host_(host), clock_(clock) {}

  // clang-format off
  Result<v1::OpenSessionResponse> Call(const v1::OpenSessionRequest& r, Duration d) override {
    return Retry<v1::OpenSessionResponse>(d, [r](MasterCalls& m, auto reply) { m.OpenSession(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::KeepAliveResponse> Call(const v1::KeepAliveRequest& r, Duration d) override {
    return Retry<v1::KeepAliveResponse>(d, [r](MasterCalls& m, auto reply) { reply(m.KeepAlive(r)); });
  }
  Result<v1::CloseSessionResponse> Call(const v1::CloseSessionRequest& r, Duration d) override {
    return Retry<v1::CloseSessionResponse>(d, [r](MasterCalls& m, auto reply) { m.CloseSession(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::MakeNodeResponse> Call(const v1::MakeNodeRequest& r, Duration d) override {
    return Retry<v1::MakeNodeResponse>(d, [r](MasterCalls& m, auto reply) { m.MakeNode(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::FilePlan> Call(const v1::GetPlanRequest& r, Duration d) override {
    return Retry<v1::FilePlan>(d, [r](MasterCalls& m, auto reply) { reply(m.GetPlan(r)); });
  }
  Result<v1::UnlinkResponse> Call(const v1::UnlinkRequest& r, Duration d) override {
    return Retry<v1::UnlinkResponse>(d, [r](MasterCalls& m, auto reply) { m.Unlink(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::RenameResponse> Call(const v1::RenameRequest& r, Duration d) override {
    return Retry<v1::RenameResponse>(d, [r](MasterCalls& m, auto reply) { m.Rename(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::Entry> Call(const v1::LookupRequest& r, Duration d) override {
    return Retry<v1::Entry>(d, [r](MasterCalls& m, auto reply) { reply(m.Lookup(r)); });
  }
  Result<v1::Entry> Call(const v1::GetAttributesRequest&, Duration) override { return Unused(); }
  Result<v1::Entry> Call(const v1::SetAttributesRequest&, Duration) override { return Unused(); }
  Result<v1::ReadLinkResponse> Call(const v1::ReadLinkRequest&, Duration) override { return Unused(); }
  Result<v1::Entry> Call(const v1::LinkRequest&, Duration) override { return Unused(); }
  Result<v1::ReadDirectoryResponse> Call(const v1::ReadDirectoryRequest&, Duration) override { return Unused(); }
  Result<v1::StatFsResponse> Call(const v1::StatFsRequest&, Duration) override { return Unused(); }
  Result<v1::GetXattrResponse> Call(const v1::GetXattrRequest& r, Duration d) override {
    return Retry<v1::GetXattrResponse>(d, [r](MasterCalls& m, auto reply) { reply(m.GetXattr(r)); });
  }
  Result<v1::ListXattrsResponse> Call(const v1::ListXattrsRequest& r, Duration d) override {
    return Retry<v1::ListXattrsResponse>(d, [r](MasterCalls& m, auto reply) { reply(m.ListXattrs(r)); });
  }
  Result<v1::SetXattrResponse> Call(const v1::SetXattrRequest& r, Duration d) override {
    return Retry<v1::SetXattrResponse>(d, [r](MasterCalls& m, auto reply) { m.SetXattr(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::RemoveXattrResponse> Call(const v1::RemoveXattrRequest& r, Duration d) override {
    return Retry<v1::RemoveXattrResponse>(d, [r](MasterCalls& m, auto reply) { m.RemoveXattr(r, [reply](auto a) { reply(std::move(a)); }); });
  }
  Result<v1::FilePlan> Call(const v1::OpenRequest&, Duration) override { return Unused(); }
  Result<v1::ReleaseResponse> Call(const v1::ReleaseRequest&, Duration) override { return Unused(); }
  // clang-format on

  void OpenTail(const v1::OpenTailRequest& request, Duration deadline,
                absl::AnyInvocable<void(Result<v1::Chunk>) &&> done) override {
    MasterNode& master = *world_.master;
    const Duration patience = std::max<Duration>(deadline - clock_.Monotonic(), milliseconds(1));
    world_.network.Call<v1::Chunk>(
        host_, master.host, patience,
        [&master, request, patience](Network::Reply<v1::Chunk> reply) {
          master.calls().OpenTail(
              request, patience, [reply](absl::StatusOr<v1::OpenTailResponse> response) {
                response.ok() ? reply(response->tail()) : reply(response.status());
              });
        },
        std::move(done));
  }
  void ReportReplica(const v1::ReportReplicaRequest& request) override {
    MasterNode& master = *world_.master;
    world_.network.Call<v1::ReportReplicaResponse>(
        host_, master.host, seconds(1),
        [&master, request](auto reply) { reply(master.calls().ReportReplica(request)); },
        [](auto) {});
  }

 private:
  static absl::Status Unused() { return MakeError(v1::INVALID, "not simulated"); }
  template <class Response, class Serve>
  absl::StatusOr<Response> Retry(Duration deadline, Serve serve) {
    MasterNode& master = *world_.master;
    while (true) {
      auto response = CallAndWait<Response>(
          world_, host_, master.host, milliseconds(500),
          [&master, serve](Network::Reply<Response> reply) { serve(master.calls(), reply); });
      if (response.ok() || !IsTransient(response.status()) || clock_.Monotonic() >= deadline)
        return response;
      world_.kernel.Wait([] { return false; }, milliseconds(50));
    }
  }
  World& world_;
  Host& host_;
  const Clock& clock_;
};

class ClientNode::AppendWay final : public AppendStream,
                                    public std::enable_shared_from_this<AppendWay> {
 public:
  AppendWay(World& world, Host& host, ServerNode& to, ClientId client)
      : world_(world), to_(to), client_(client), stream_(world.network.Connect(host, to.host)) {}

  void Begin() {
    std::weak_ptr<AppendWay> weak = weak_from_this();
    auto deliver = [weak](std::vector<v1::AppendOutcome> outcomes) {
      if (auto self = weak.lock()) self->Deliver(outcomes);
    };
    stream_->OnBroken(0, [weak] {
      if (auto self = weak.lock()) self->Broken();
    });
    ServerNode& to = to_;
    stream_->Send(0, [&to, id = id_, stream = stream_, client = client_, deliver] {
      *id = to.process()->AcceptClient(stream, client, deliver);
    });
  }

  void Attach(ChunkHandle handle, std::weak_ptr<AppendSink> sink) override {
    sinks_[handle] = std::move(sink);
    if (broken_)
      world_.kernel.After({}, nullptr, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->Broken();
      });
  }
  void Detach(ChunkHandle handle) override { sinks_.erase(handle); }

  void Flush() override {}
  bool Send(std::vector<OutgoingBatch> batches) override {
    if (broken_) return false;
    std::vector<ClientBatch> messages;
    for (OutgoingBatch& from : batches) {
      ClientBatch& batch = messages.emplace_back();
      batch.handle = from.handle;
      batch.epoch = from.epoch;
      batch.client = client_;
      batch.sequence = from.sequence;
      batch.predecessor = from.predecessor;
      batch.conditional = from.expected.has_value();
      if (from.expected) batch.expected_offset = *from.expected;
      // As it is now: the sender may reuse what it holds.
      batch.payload = Buffer::From(std::string(from.payload.view()));
      batch.crc32c = from.crc32c;
      batch.intact = Crc32c(batch.payload.view()) == from.crc32c;
      if (world_.network.faults.corrupt > 0 && world_.kernel.Chance(world_.network.faults.corrupt))
        batch.intact = false;
    }
    ServerNode& to = to_;
    return stream_->Send(0, [&to, id = id_, messages]() mutable {
      for (ClientBatch& batch : messages) batch.stream = *id;
      to.process()->Append(messages);
    });
  }
  bool broken() const { return broken_; }

 private:
  void Deliver(const std::vector<v1::AppendOutcome>& outcomes) {
    for (const v1::AppendOutcome& outcome : outcomes) {
      auto found = sinks_.find(ChunkHandle(outcome.handle()));
      if (found == sinks_.end()) continue;
      if (auto sink = found->second.lock()) sink->OnOutcome(outcome);
    }
  }
  void Broken() {
    broken_ = true;
    auto self = shared_from_this();
    auto sinks = std::exchange(sinks_, {});
    for (auto& [handle, weak] : sinks)
      if (auto sink = weak.lock())
        sink->OnBroken(*this, handle, MakeError(v1::UNREACHABLE, "the stream broke"));
  }

  World& world_;
  ServerNode& to_;
  const ClientId client_;
  const std::shared_ptr<Stream> stream_;
  const std::shared_ptr<StreamId> id_ = std::make_shared<StreamId>();
  std::map<ChunkHandle, std::weak_ptr<AppendSink>> sinks_;
  bool broken_ = false;
};

class ClientNode::AppendWays final : public AppendStreams {
 public:
  AppendWays(World& world, Host& host) : world_(world), host_(host) {}
  std::shared_ptr<AppendStream> Get(const std::string& address, ClientId client) override {
    auto& way = ways_[{address, client}];
    if (way == nullptr || way->broken()) {
      way = std::make_shared<AppendWay>(world_, host_, *world_.ServerAt(address), client);
      way->Begin();
    }
    return way;
  }

 private:
  World& world_;
  Host& host_;
  std::map<std::pair<std::string, ClientId>, std::shared_ptr<AppendWay>> ways_;
};

class ClientNode::Process final : private Session::Listener {
 public:
  Process(ClientNode& node, uint32_t number)
      : node_(node),
        world_(node.world_),
        number_(number),
        clock_(world_.kernel, milliseconds(world_.kernel.Random(2000))),
        executor_(world_.kernel, node.host),
        master_(world_, node.host, clock_),
        streams_(world_, node.host) {}

  void Run();
  bool idle() const { return outstanding_ == 0; }

 private:
  struct File {
    InodeId inode;
    std::shared_ptr<Appender> appender;
    uint32_t next = 0;
    uint64_t end = 0;                  // after the last record of ours
    std::optional<v1::FilePlan> plan;  // as it was once
  };
  std::vector<InodeId> OpenInodes() override {
    std::vector<InodeId> inodes;
    for (const File& file : files_) inodes.push_back(file.inode);
    return inodes;
  }
  void OnNewSession(ClientId client) override {
    world_.kernel.counts["sessions lost"]++;
    for (const File& file : files_) file.appender->OnSession(client);
  }
  // Opens a session, and the files under it. False: it has ended on the way.
  bool Begin();
  void Write();
  void ReadForEver();
  void ReadSome(uint32_t file);
  absl::StatusOr<uint64_t> ReadChunk(uint32_t file, const v1::Chunk& chunk, uint64_t from,
                                     bool fresh);
  absl::StatusOr<ReadResult> Read(const std::string& address, const v1::ReadRequest& request);

  ClientNode& node_;
  World& world_;
  const uint32_t number_;
  SimClock clock_;
  SimExecutor executor_;
  Master master_;
  AppendWays streams_;
  SequenceSource sequences_;
  QueueBudget budget_{1ull << 40};
  std::unique_ptr<Session> session_;
  std::unique_ptr<Appender::Shared> shared_;
  std::vector<File> files_;
  int outstanding_ = 0;
};

void ClientNode::Process::Run() {
  // Nobody keeps the session alive until it runs: it may end meanwhile.
  while (!Begin()) files_.clear();
  Write();
  for (int i = 0; i < node_.workload_.readers; ++i)
    world_.kernel.StartFiber(node_.host, [this] { ReadForEver(); });
  world_.kernel.StartFiber(node_.host, [this] {
    Names(world_, master_, *session_, clock_, StrCat("p", number_)).Run();
  });
  session_->Run(*this);
}

bool ClientNode::Process::Begin() {
  for (session_ = nullptr; session_ == nullptr;) {
    auto session =
        Session::Open(master_, clock_, {"", node_.host.name}, clock_.Monotonic() + seconds(5));
    if (session.ok()) session_ = *std::move(session);
  }
  AppenderOptions options;
  options.timeout = seconds(12);
  options.batch_bytes = std::min<uint64_t>(1500, world_.chunk_bytes / 2);
  options.small_batch_bytes = 128;
  options.window_batches = 8;
  options.doubt_after = milliseconds(300);
  options.give_up_after = milliseconds(1500);
  shared_.reset(new Appender::Shared{clock_, executor_, master_, streams_, *session_, sequences_,
                                     budget_, options});
  while (static_cast<int>(files_.size()) < node_.workload_.files) {
    v1::MakeNodeRequest request;
    *request.mutable_mutation() = session_->mutations().Begin();
    request.set_parent(kRootInode.value());
    request.set_name(StrCat("file", files_.size()));
    request.set_type(v1::REGULAR);
    request.set_mode(0644);
    auto made = master_.Call(request, clock_.Monotonic() + seconds(5));
    session_->mutations().End(request.mutation());
    if (HasReason(made.status(), v1::SESSION_EXPIRED)) return false;
    if (!made.ok()) continue;
    File& file = files_.emplace_back();
    file.inode = InodeId(made->entry().attributes().inode());
    world_.history->SetInode(static_cast<uint32_t>(files_.size() - 1), file.inode);
    file.appender = std::make_shared<Appender>(file.inode, *shared_, std::make_shared<KnownSize>());
  }
  return true;
}

void ClientNode::Process::Write() {
  Kernel& kernel = world_.kernel;
  const bool brisk = kernel.now() < world_.brisk_until;
  const Duration pace = brisk ? WorkloadOptions::kBriskest : node_.workload_.pace;
  kernel.After(kernel.Between(microseconds(100), pace), &node_.host, [this] { Write(); });
  if (!node_.writing_ || outstanding_ > 60) return;
  if (!brisk && kernel.now() < world_.quiet_until) return;
  const auto number = static_cast<uint32_t>(kernel.Random(files_.size()));
  File& file = files_[number];
  const int burst = kernel.Chance(0.2) ? 1 + static_cast<int>(kernel.Random(6)) : 1;
  for (int i = 0; i < burst; ++i) {
    const History::RecordId id{number_, number, file.next++};
    std::string bytes = History::Bytes(id, kernel.Random(node_.workload_.record_bytes));
    std::optional<FileOffset> expected;
    if (kernel.Chance(node_.workload_.conditional))
      expected = FileOffset(std::max(file.end, world_.history->acknowledged(number)));
    world_.history->Began(id, bytes);
    ++outstanding_;
    const uint64_t size = bytes.size();
    file.appender->Append(bytes, expected,
                          [this, id, number, size](absl::StatusOr<FileOffset> outcome) {
                            --outstanding_;
                            if (outcome.ok()) files_[number].end = (*outcome + size).bytes();
                            world_.history->Answered(id, outcome);
                          });
  }
  if (kernel.Chance(0.3)) file.appender->Flush([] {});
}

absl::StatusOr<ReadResult> ClientNode::Process::Read(const std::string& address,
                                                     const v1::ReadRequest& request) {
  ServerNode* server = world_.ServerAt(address);
  if (server == nullptr) return MakeError(v1::UNREACHABLE, "no address");
  auto result = CallAndWait<ReadResult>(
      world_, node_.host, server->host, milliseconds(world_.kernel.Chance(0.5) ? 800 : 150),
      [server, request](Network::Reply<ReadResult> reply) {
        server->process()->Read(request, [reply](auto answer) { reply(std::move(answer)); });
      });
  if (result.ok() && Crc32c(result->payload.view()) != result->crc32c)
    return MakeError(v1::CHECKSUM_MISMATCH, "on the way");
  return result;
}

// Where the chunk ends, after its bytes from `from` on were looked at.
absl::StatusOr<uint64_t> ClientNode::Process::ReadChunk(uint32_t file, const v1::Chunk& chunk,
                                                        uint64_t from, bool fresh) {
  v1::ReadRequest request;
  request.set_handle(chunk.handle());
  request.set_epoch(chunk.epoch());
  request.set_offset(from);
  request.set_length(64 << 10);
  std::vector<std::string> addresses;
  for (const v1::ServerAddress& replica : chunk.replicas()) {
    if (fresh && replica.server_id() != chunk.primary_id()) continue;
    if (!replica.address().empty()) addresses.push_back(replica.address());
  }
  if (addresses.empty()) return MakeError(v1::UNREACHABLE, "no replica has an address");
  const bool sealed = chunk.state() == v1::SEALED;
  if (sealed) request.set_known_length(chunk.length());
  request.set_fresh(fresh && !sealed);
  size_t at = world_.kernel.Random(addresses.size());
  absl::StatusOr<ReadResult> result = MakeError(v1::UNREACHABLE, "no replica");
  for (size_t i = 0; i < addresses.size(); ++i) {
    result = Read(addresses[(at + i) % addresses.size()], request);
    if (sealed && result.ok() && from + result->payload.size() < chunk.length())
      result = MakeError(v1::NOT_READY, "a replica that is behind");
    if (result.ok()) break;
  }
  if (!result.ok()) return result.status();
  world_.history->Saw(file, chunk.base_offset() + from, result->payload.view(), node_.host.name);
  return sealed ? chunk.length() : result->committed_length;
}

void ClientNode::Process::ReadSome(uint32_t file) {
  History& history = *world_.history;
  const uint64_t known = std::max(history.acknowledged(file), history.fresh(file));
  v1::GetPlanRequest request;
  request.set_client_id(session_->id().value());
  request.set_inode(files_[file].inode.value());
  // Often with what it knows, until it is told that this is so no more, as clients
  // do: an old primary may be asked.
  std::optional<v1::FilePlan> plan = files_[file].plan;
  if (!plan || plan->chunks().empty() || world_.kernel.Chance(0.3)) {
    auto now = master_.Call(request, clock_.Monotonic() + seconds(1));
    if (!now.ok()) return;
    plan = *std::move(now);
  }
  const uint64_t seen = history.seen(file);
  for (const v1::Chunk& chunk : plan->chunks()) {
    const bool last = &chunk == &*plan->chunks().rbegin();
    uint64_t from = seen > chunk.base_offset() ? seen - chunk.base_offset() : 0;
    if (chunk.state() == v1::SEALED && from >= chunk.length()) {
      if (!last && !world_.kernel.Chance(0.05)) continue;
      from = world_.kernel.Random(chunk.length());  // what was read before is still so
    } else if (world_.kernel.Chance(0.3)) {
      from = world_.kernel.Random(from + 1);
    }
    const bool fresh = last && chunk.state() == v1::OPEN && world_.kernel.Chance(0.7);
    auto end = ReadChunk(file, chunk, from, fresh);
    if (!end.ok() && !IsTransient(end.status())) files_[file].plan.reset();
    if (!end.ok()) return;
    if (last && (fresh || chunk.state() == v1::SEALED)) {
      world_.kernel.counts["fresh sizes"]++;
      history.SawSize(file, chunk.base_offset() + *end, known, node_.host.name);
      if (fresh) files_[file].plan = *plan;  // it still stood
    }
  }
}

void ClientNode::Process::ReadForEver() {
  while (true) {
    world_.kernel.Wait([] { return false; },
                       world_.kernel.Between(milliseconds(5), milliseconds(80)));
    ReadSome(static_cast<uint32_t>(world_.kernel.Random(files_.size())));
  }
}

// --- the machine -------------------------------------------------------------------

ClientNode::ClientNode(World& world, std::string name, const WorkloadOptions& workload)
    : world_(world), workload_(workload) {
  host.name = std::move(name);
  world.network.Add(host.name, host);
}

ClientNode::~ClientNode() = default;

void ClientNode::Start() {
  host.up = true;
  process_ = std::make_unique<Process>(*this, ++last_process_);
  world_.kernel.StartFiber(host, [this] { process_->Run(); });
}

void ClientNode::Crash() {
  world_.kernel.Trace(host.name, " is killed");
  world_.kernel.counts["client kills"]++;
  world_.kernel.Die(host);
  world_.network.BreakStreams(host);
  process_ = nullptr;
}

bool ClientNode::idle() const { return process_ == nullptr || process_->idle(); }

}  // namespace appendfs::sim
