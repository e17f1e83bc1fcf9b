#include "tests/sim/master_node.h"

#include <deque>
#include <utility>

#include "master/chunks/manager.h"
#include "master/layout.h"
#include "master/memory_tables.h"
#include "master/namespace/format.h"
#include "tests/sim/ledger.h"
#include "tests/sim/server_node.h"
#include "tests/sim/world.h"

namespace appendfs::sim {

// The log as GroupMetaLog has it, with a sync that takes simulated time.
class MasterNode::Log final : public MetaLog {
 public:
  Log(Kernel& kernel, Ledger& ledger, Host& host, DurableTables& tables, MetaStateMachine& machine,
      MetaLogGate& gate, uint64_t index)
      : kernel_(kernel),
        ledger_(ledger),
        host_(host),
        tables_(tables),
        machine_(machine),
        gate_(gate),
        index_(index) {}

  void Propose(v1::MetaOp op, Done done) override {
    queue_.push_back({std::move(op), std::move(done), {}});
    if (!std::exchange(busy_, true)) kernel_.After({}, &host_, [this] { Begin(); });
  }
  std::unique_ptr<KeyValueReader> Snapshot() const override { return tables_.Snapshot(); }

  // At the start, when nobody else proposes: at once.
  absl::StatusOr<v1::MetaResult> ApplyNow(v1::MetaOp op) {
    std::deque<Proposal> group;
    group.push_back({std::move(op), nullptr, {}});
    APPENDFS_RETURN_IF_ERROR(Apply(group));
    APPENDFS_RETURN_IF_ERROR(tables_.Commit(*changes_));
    gate_.Committed();
    return group.front().result;
  }

 private:
  struct Proposal {
    v1::MetaOp op;
    Done done;
    v1::MetaResult result;
  };

  void Begin() {
    group_ = std::exchange(queue_, {});
    if (absl::Status status = Apply(group_); !status.ok())
      return kernel_.Fail(StrCat("the master's log: ", status.message()));
    Duration sync = kernel_.Between(microseconds(100), milliseconds(kernel_.Chance(0.05) ? 50 : 1));
    kernel_.After(sync, &host_, [this] {
      (void)tables_.Commit(*changes_);
      gate_.Committed();
      for (const Proposal& proposal : group_)
        if (!proposal.result.has_error()) ledger_.Logged(proposal.op);
      // Durable, and nobody has been told yet.
      kernel_.After(kernel_.Between(Duration{}, microseconds(100)), &host_, [this] { Answer(); });
    });
  }

  absl::Status Apply(std::deque<Proposal>& group) {
    changes_ = std::make_unique<Overlay>(&tables_);
    for (Proposal& proposal : group) {
      APPENDFS_RETURN_IF_ERROR(gate_.Prepare(proposal.op, *changes_));
      const uint64_t before = changes_->changes_made();
      APPENDFS_ASSIGN_OR_RETURN(proposal.result, machine_.Apply(proposal.op, *changes_));
      if (changes_->changes_made() != before) ++index_;
      proposal.result.set_index(index_);
      gate_.Applied(proposal.op, proposal.result);
    }
    changes_->Put(Table::kMeta, layout::kAppliedIndexKey, layout::EncodeNumber(index_));
    return absl::OkStatus();
  }

  void Answer() {
    std::deque<Proposal> group = std::exchange(group_, {});
    for (Proposal& proposal : group) std::move(proposal.done)(std::move(proposal.result));
    busy_ = false;
    if (!queue_.empty() && !std::exchange(busy_, true))
      kernel_.After({}, &host_, [this] { Begin(); });
  }

  Kernel& kernel_;
  Ledger& ledger_;
  Host& host_;
  DurableTables& tables_;
  MetaStateMachine& machine_;
  MetaLogGate& gate_;
  uint64_t index_;
  bool busy_ = false;
  std::deque<Proposal> queue_, group_;
  std::unique_ptr<Overlay> changes_;
};

class MasterNode::Servers final : public ServerClient {
 public:
  Servers(World& world, Host& host) : world_(world), host_(host) {}
#define APPENDFS_SIM_COMMAND(Name, Method)                                           \
  void Call(const std::string& address, v1::Name##Request request, Duration timeout, \
            Done<v1::Name##Response> done) override {                                \
    Send<v1::Name##Response>(address, std::move(request), timeout, std::move(done),  \
                             &Control::Method);                                      \
  }
  APPENDFS_SIM_COMMAND(CreateChunks, CreateChunks)
  APPENDFS_SIM_COMMAND(Fence, Fence)
  APPENDFS_SIM_COMMAND(Conform, Conform)
  APPENDFS_SIM_COMMAND(OpenChunks, OpenChunks)
  APPENDFS_SIM_COMMAND(DeleteChunks, DeleteChunks)
  APPENDFS_SIM_COMMAND(Inspect, Inspect)
#undef APPENDFS_SIM_COMMAND

 private:
  template <class Response, class Request>
  void Send(const std::string& address, Request request, Duration timeout, Done<Response> done,
            absl::Status (Control::*method)(const Request&, Response&)) {
    ServerNode& to = *world_.ServerAt(address);
    world_.network.Call<Response>(
        host_, to.host, timeout,
        [&to, &ledger = *world_.ledger, request = std::move(request),
         method](Network::Reply<Response> reply) {
          to.process()->Control([&to, &ledger, request, method, reply](Control& control) {
            Response response;
            absl::Status status = (control.*method)(request, response);
            if constexpr (std::is_same_v<Response, v1::FenceResponse>)
              for (int i = 0; i < response.items_size(); ++i)
                if (!response.items(i).has_error())
                  ledger.Promised(to, ChunkHandle(request.items(i).handle()),
                                  Epoch(request.items(i).epoch()),
                                  response.items(i).durable_length());
            status.ok() ? reply(std::move(response)) : reply(status);
          });
        },
        [alive = std::weak_ptr<bool>(alive_), done = std::move(done)](auto response) mutable {
          if (!alive.expired()) std::move(done)(std::move(response));
        });
  }

  World& world_;
  Host& host_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

struct MasterNode::Process {
  explicit Process(World& world) : clock(world.kernel, milliseconds(world.kernel.Random(2000))) {}
  SimClock clock;
  MetaMachine machine;
  OpenInodes open_inodes;
  std::unique_ptr<Log> log;
  std::unique_ptr<Sessions> sessions;
  std::unique_ptr<Manager> chunks;
  std::unique_ptr<MasterCalls> calls;
};

MasterNode::MasterNode(World& world) : world_(world), tables_(MakeMemoryTables()) {
  host.name = "master";
  world.network.Add(host.name, host);
}

MasterNode::~MasterNode() = default;

ChunkManager& MasterNode::chunks() { return *process_->chunks; }
MasterCalls& MasterNode::calls() { return *process_->calls; }

absl::Status MasterNode::Start() {
  process_ = std::make_unique<Process>(world_);
  Process& now = *process_;
  Overlay changes(tables_.get());
  APPENDFS_ASSIGN_OR_RETURN(bool created, FormatIfEmpty(changes, now.clock.WallNanos()));
  if (created) {
    // The format draws it at random.
    changes.Put(Table::kMeta, layout::kClusterUuidKey, "5eed5eed-0000-4000-8000-000000000001");
    APPENDFS_RETURN_IF_ERROR(tables_->Commit(changes));
  }
  APPENDFS_ASSIGN_OR_RETURN(Identity identity, ReadIdentity(*tables_));
  now.log = std::make_unique<Log>(world_.kernel, *world_.ledger, host, *tables_, now.machine,
                                  now.open_inodes, identity.applied_index);
  v1::MetaOp op;
  op.set_now_ns(now.clock.WallNanos());
  op.mutable_start_master();
  APPENDFS_ASSIGN_OR_RETURN(v1::MetaResult started, now.log->ApplyNow(std::move(op)));

  host.up = true;
  SessionOptions sessions;
  sessions.timeout = world_.session_timeout;
  sessions.tick = milliseconds(250);
  APPENDFS_ASSIGN_OR_RETURN(now.sessions,
                            Sessions::Create(sessions, *now.log, now.open_inodes, now.clock));
  ChunkManagerOptions options;
  options.chunk_bytes = world_.chunk_bytes;
  options.heartbeat_interval = milliseconds(100);
  options.dead_after = milliseconds(700);
  options.safe_mode = seconds(1);
  APPENDFS_ASSIGN_OR_RETURN(
      now.chunks, Manager::Create(options, *now.log, *now.sessions, now.clock, started.id(),
                                  identity.cluster_uuid,
                                  {std::make_unique<Servers>(world_, host),
                                   std::make_unique<SimExecutor>(world_.kernel, host)}));
  now.sessions->Start(
      [&now](std::vector<ChunkHandle> handles) { now.chunks->AddGarbage(std::move(handles)); },
      std::make_unique<SimExecutor>(world_.kernel, host));
  now.calls = std::make_unique<MasterCalls>(
      MasterParts{*now.log, now.open_inodes, *now.sessions, *now.chunks, now.clock,
                  identity.cluster_uuid, started.id(), options.chunk_bytes});
  return absl::OkStatus();
}

void MasterNode::Crash() {
  world_.kernel.Trace("master is killed");
  world_.kernel.counts["master kills"]++;
  world_.kernel.Die(host);
  process_ = nullptr;
}

}  // namespace appendfs::sim
