#include "tests/sim/server_node.h"

#include <utility>

#include "chunkserver/store/store_core.h"
#include "common/protocol.h"
#include "tests/sim/ledger.h"
#include "tests/sim/master_node.h"
#include "tests/sim/world.h"

namespace appendfs::sim {
namespace {

constexpr char kDirectory[] = "/data";

StoreOptions SmallStore() {
  StoreOptions options;
  options.segment_bytes = 32 << 10;
  options.max_journal_bytes = 160 << 10;
  options.max_group_bytes = 8 << 10;
  options.reserved_bytes = 64 << 10;
  options.max_unapplied_bytes = 64 << 10;
  options.in_place_bytes = 1000;
  return options;
}

}  // namespace

// --- the engine's ends of the streams ----------------------------------------------

class ServerNode::Process::Client final : public ClientSink {
 public:
  Client(Process& owner, ClientId client, std::shared_ptr<Stream> stream,
         std::function<void(std::vector<v1::AppendOutcome>)> deliver)
      : owner_(owner), client_(client), stream_(std::move(stream)), deliver_(std::move(deliver)) {}

  void Queue(const ClientOutcome& outcome) override {
    owner_.world_.ledger->Answers(owner_.node_, client_, outcome);
    v1::AppendOutcome& to = waiting_.emplace_back();
    to.set_handle(outcome.handle.value());
    to.set_epoch(outcome.epoch.value());
    to.set_sequence(outcome.sequence.value());
    to.set_offset(outcome.offset.bytes());
    if (!outcome.status.ok()) *to.mutable_error() = ToProto(outcome.status);
  }
  void Release(uint64_t) override {}
  void ResumeReading() override {}
  void Flush() override {
    if (!waiting_.empty())
      stream_->Send(1, [deliver = deliver_, outcomes = std::exchange(waiting_, {})]() mutable {
        deliver(std::move(outcomes));
      });
  }

 private:
  Process& owner_;
  const ClientId client_;
  const std::shared_ptr<Stream> stream_;
  const std::function<void(std::vector<v1::AppendOutcome>)> deliver_;
  std::vector<v1::AppendOutcome> waiting_;
};

// The answering end at a replica; what it says runs at the primary.
class ServerNode::Process::Peer final : public VoteSink {
 public:
  using Deliver = std::function<void(std::vector<Vote>, std::vector<ConfirmAnswer>)>;
  Peer(std::shared_ptr<Stream> stream, Deliver deliver)
      : stream_(std::move(stream)), deliver_(std::move(deliver)) {}
  void Queue(const Vote& vote) override { votes_.push_back(vote); }
  void Queue(const ConfirmAnswer& answer) override { answers_.push_back(answer); }
  void ResumeReading() override {}
  void Flush() override {
    if (votes_.empty() && answers_.empty()) return;
    stream_->Send(1, [deliver = deliver_, votes = std::exchange(votes_, {}),
                      answers = std::exchange(answers_, {})] { deliver(votes, answers); });
  }

 private:
  const std::shared_ptr<Stream> stream_;
  const Deliver deliver_;
  std::vector<Vote> votes_;
  std::vector<ConfirmAnswer> answers_;
};

class ServerNode::Process::Link final : public PeerLink, public std::enable_shared_from_this<Link> {
 public:
  Link(Process& owner, ServerId server, ServerNode& to) : owner_(owner), server_(server), to_(to) {}

  void Queue(const Ready& ready) override {
    ready_.push_back(ready);
    Network& network = owner_.world_.network;
    if (network.faults.corrupt > 0 && network.kernel().Chance(network.faults.corrupt))
      ready_.back().intact = false;
  }
  void Queue(const Commit& commit) override {
    owner_.world_.ledger->Commits(owner_.node_, commit);
    commits_.push_back(commit);
  }
  void Queue(const Confirm& confirm) override { confirms_.push_back(confirm); }
  void Flush() override {
    if (ready_.empty() && commits_.empty() && confirms_.empty()) return;
    if (stream_ == nullptr) Connect();
    ServerNode& to = to_;
    stream_->Send(0,
                  [&to, peer = peer_, ready = std::exchange(ready_, {}),
                   commits = std::exchange(commits_, {}), confirms = std::exchange(confirms_, {})] {
                    to.process()->engine_->OnReplicate(peer, ready, commits, confirms);
                  });
  }

 private:
  void Connect() {
    stream_ = owner_.world_.network.Connect(owner_.node_.host, to_.host);
    std::weak_ptr<Link> weak = weak_from_this();
    peer_ = std::make_shared<Peer>(
        stream_, [weak](std::vector<Vote> votes, std::vector<ConfirmAnswer> answers) {
          if (auto self = weak.lock()) self->owner_.engine_->OnVotes(self->server_, votes, answers);
        });
    stream_->OnBroken(0, [weak, of = stream_.get()] {
      auto self = weak.lock();
      if (!self || self->stream_.get() != of) return;
      self->stream_ = nullptr;
      self->ready_.clear(), self->commits_.clear(), self->confirms_.clear();
      self->owner_.engine_->OnPeerBroken(self->server_);
    });
    ServerNode& to = to_;
    stream_->Send(0, [&to, peer = peer_] { to.process()->engine_->AddPeer(peer); });
    stream_->OnBroken(1, [&to, peer = peer_] { to.process()->engine_->RemovePeer(peer); });
  }

  Process& owner_;
  const ServerId server_;
  ServerNode& to_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<Peer> peer_;
  std::vector<Ready> ready_;
  std::vector<Commit> commits_;
  std::vector<Confirm> confirms_;
};

class ServerNode::Process::Links final : public PeerLinks {
 public:
  explicit Links(Process& owner) : owner_(owner) {}
  std::shared_ptr<PeerLink> To(ServerId server, const std::string& address) override {
    auto& link = links_[server];
    if (link == nullptr)
      link = std::make_shared<Link>(owner_, server, *owner_.world_.ServerAt(address));
    return link;
  }

 private:
  Process& owner_;
  std::map<ServerId, std::shared_ptr<Link>> links_;
};

class ServerNode::Process::Fetcher final : public ChunkFetcher {
 public:
  explicit Fetcher(Process& owner) : owner_(owner) {}
  absl::StatusOr<FetchedBytes> Fetch(const std::string& address, ChunkHandle handle, Epoch epoch,
                                     uint64_t offset, uint32_t length) override {
    ServerNode& to = *owner_.world_.ServerAt(address);
    v1::FetchRequest request;
    request.set_handle(handle.value());
    request.set_epoch(epoch.value());
    request.set_offset(offset);
    request.set_length(std::min<uint32_t>(length, 1500));  // in pieces, as large chunks go
    APPENDFS_ASSIGN_OR_RETURN(ReadResult result,
                              CallAndWait<ReadResult>(owner_.world_, owner_.node_.host, to.host,
                                                      seconds(1), [&to, request](auto reply) {
                                                        reply(to.process()->Fetch(request));
                                                      }));
    return FetchedBytes{result.payload, result.crc32c, result.durable_length};
  }

 private:
  Process& owner_;
};

class ServerNode::Process::Master final : public MasterLink {
 public:
  explicit Master(Process& owner) : owner_(owner) {}
  absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request) override {
    return Ask<v1::RegisterResponse>([request](ChunkManager& chunks, auto reply) {
      chunks.Register(request, [reply](auto response) {
        if (response.ok()) *response->mutable_version() = OurProtocol();
        reply(std::move(response));
      });
    });
  }
  absl::Status ReportChunks(const v1::ReportChunksRequest& request) override {
    return Ask<bool>([request](ChunkManager& chunks, auto reply) {
             absl::Status status = chunks.ReportChunks(request);
             status.ok() ? reply(true) : reply(status);
           })
        .status();
  }
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request) override {
    return Ask<v1::HeartbeatResponse>(
        [request](ChunkManager& chunks, auto reply) { reply(chunks.Heartbeat(request)); });
  }
  void Cancel() override {}

 private:
  template <class Response, class Serve>
  absl::StatusOr<Response> Ask(Serve serve) {
    MasterNode& master = *owner_.world_.master;
    return CallAndWait<Response>(
        owner_.world_, owner_.node_.host, master.host, milliseconds(800),
        [&master, serve](Network::Reply<Response> reply) { serve(master.chunks(), reply); });
  }
  Process& owner_;
};

// --- the process -------------------------------------------------------------------

ServerNode::Process::Process(World& world, ServerNode& node)
    : world_(world), node_(node), clock_(world.kernel, milliseconds(world.kernel.Random(2000))) {}

ServerNode::Process::~Process() = default;

absl::Status ServerNode::Process::Start() {
  APPENDFS_ASSIGN_OR_RETURN(auto core,
                            StoreCore::Open(node_.disk, clock_, kDirectory, SmallStore()));
  Kernel& kernel = world_.kernel;
  StoreWitness witness;
  witness.changed = [this](ChunkHandle handle) { world_.ledger->Touched(node_, handle); };
  witness.deleting = [this](ChunkHandle handle) { world_.ledger->Deleting(node_, handle); };
  witness.deleted = [this](ChunkHandle handle) { world_.ledger->Deleted(node_, handle); };
  witness.wrote = [this, &kernel] {
    if (node_.disk.power_is_off())
      kernel.After({}, nullptr, [this, &node = node_, boot = node_.host.boot] {
        if (node.host.boot == boot) world_.on_power_lost(node);
      });
  };
  store_ = std::make_unique<SimChunkStore>(kernel, node_.host, std::move(core), std::move(witness));
  const StoreIdentity identity = store_->identity();
  membership_ = std::make_unique<Membership>(identity.cluster_uuid, identity.server);
  background_ = std::make_unique<SimExecutor>(kernel, node_.host);
  links_ = std::make_unique<Links>(*this);
  EngineOptions options;
  const bool patient = kernel.Chance(0.4);
  options.sequencer.lag_timeout = milliseconds(patient ? 2500 : 300);
  options.sequencer.confirm_timeout = milliseconds(patient ? 2500 : 500);
  options.sequencer.idle_after = milliseconds(400);
  engine_ = std::make_unique<Engine>(*store_, clock_, *background_, *links_, events_, options);
  engine_->SetSelf(identity.server);
  store_->Start(*engine_);
  reader_ = std::make_unique<ChunkReader>(*engine_, *store_);
  fetcher_ = std::make_unique<Fetcher>(*this);
  conformer_ = std::make_unique<Conformer>(*engine_, *store_, *fetcher_);
  control_ = std::make_unique<appendfs::Control>(*engine_, *store_, *conformer_, *membership_);
  master_ = std::make_unique<Master>(*this);
  heartbeat_ = std::make_unique<Heartbeat>(
      *engine_, *store_, *membership_, events_, *master_, clock_, node_.host.name,
      [this](const absl::Status& why) {
        world_.kernel.Fail(StrCat(node_.host.name, ": refused by the master: ", why.message()));
      });
  kernel.StartFiber(node_.host, [this] { heartbeat_->Run(); });
  Tick();
  return absl::OkStatus();
}

void ServerNode::Process::Tick() {
  world_.kernel.After(Engine::kTickInterval, &node_.host, [this] {
    engine_->Tick();
    Tick();
  });
}

void ServerNode::Process::Control(const std::function<void(appendfs::Control&)>& command) {
  world_.kernel.StartFiber(node_.host, [this, command] { command(*control_); });
}

void ServerNode::Process::Read(const v1::ReadRequest& request, ChunkReader::Answer answer) {
  reader_->Read(request, std::move(answer));
}

absl::StatusOr<ReadResult> ServerNode::Process::Fetch(const v1::FetchRequest& request) {
  return reader_->Fetch(request);
}

void ServerNode::Process::TailLengths(const v1::TailLengthsRequest& request,
                                      absl::AnyInvocable<void(v1::TailLengthsResponse) &&> answer) {
  reader_->TailLengths(request, std::move(answer));
}

StreamId ServerNode::Process::AcceptClient(
    const std::shared_ptr<Stream>& stream, ClientId client,
    std::function<void(std::vector<v1::AppendOutcome>)> deliver) {
  StreamId id =
      engine_->AddClient(std::make_shared<Client>(*this, client, stream, std::move(deliver)));
  stream->OnBroken(1, [this, id] { engine_->RemoveClient(id); });
  return id;
}

void ServerNode::Process::Append(const std::vector<ClientBatch>& batches) {
  engine_->Append(batches);
}

// --- the machine -------------------------------------------------------------------

ServerNode::ServerNode(World& world, std::string name) : world_(world) {
  host.name = std::move(name);
  world.network.Add(host.name, host);
}

ServerNode::~ServerNode() = default;

absl::Status ServerNode::Start() {
  process_ = std::make_unique<Process>(world_, *this);
  host.up = true;
  absl::Status status = process_->Start();
  if (!status.ok()) {
    world_.kernel.Die(host);
    process_ = nullptr;
    return status;
  }
  world_.ledger->Started(*this);
  return status;
}

void ServerNode::Crash(bool power) {
  world_.kernel.Trace(host.name, power ? " loses power" : " is killed");
  world_.kernel.counts[power ? "power losses" : "kills"]++;
  if (power && !disk.power_is_off()) disk.FailPowerAfter(1);
  world_.ledger->Stopped(*this);
  (void)id();
  // Two groups that were synced later vouch for the one that was hit.
  may_forget_ = groups_before_harm_ > 0 && process_->store_->groups() < groups_before_harm_ + 3;
  groups_before_harm_ = 0;
  world_.kernel.Die(host);
  world_.network.BreakStreams(host);
  process_ = nullptr;
  power ? disk.Crash(world_.kernel.Random(~uint64_t{0})) : disk.Kill();
}

void ServerNode::Harm(const std::string& path, uint64_t offset, int bit, bool provable) {
  disk_harmed = true;
  if (path.find("journal") == std::string::npos) data_harmed_ = true;
  if (!provable) groups_before_harm_ = process_ ? process_->store_->groups() + 1 : ~uint64_t{0} - 3;
  (void)disk.FlipBit(path, offset, bit);
}

ChunkStore* ServerNode::store() { return process_ ? process_->store_.get() : nullptr; }
ServerId ServerNode::id() {
  if (process_) last_id_ = process_->store_->identity().server;
  return last_id_;
}
Engine* ServerNode::engine() { return process_ ? process_->engine_.get() : nullptr; }

}  // namespace appendfs::sim
