#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chunkserver/engine/engine.h"
#include "common/crc32c.h"
#include "common/str_cat.h"
#include "tests/chunkserver/engine/fake_chunk_store.h"

namespace appendfs {

class ManualClock final : public Clock {
 public:
  Duration Monotonic() const override { return now; }
  uint64_t WallNanos() const override { return static_cast<uint64_t>(now.count()); }
  Duration now = std::chrono::seconds(1000);
};

// Runs what is posted when the test says so.
class ManualExecutor final : public Executor {
 public:
  void Post(absl::AnyInvocable<void() &&> work) override { work_.push_back(std::move(work)); }
  void PostAfter(Duration, absl::AnyInvocable<void() &&> work) override { Post(std::move(work)); }
  bool RunAll() {
    bool any = !work_.empty();
    for (auto& work : std::exchange(work_, {})) std::move(work)();
    return any;
  }

 private:
  std::vector<absl::AnyInvocable<void() &&>> work_;
};

class RecordingEvents final : public EventSink {
 public:
  void Post(const ChunkEvent& event) override { events.push_back(event); }
  std::vector<ChunkEvent> events;
};

class RecordingClient final : public ClientSink {
 public:
  void Queue(const ClientOutcome& outcome) override { outcomes.push_back(outcome); }
  void Release(uint64_t bytes) override { released += bytes; }
  void ResumeReading() override { ++resumed; }
  void Flush() override { ++flushes; }
  std::vector<ClientOutcome> outcomes;
  uint64_t released = 0;
  int resumed = 0, flushes = 0;
};

// Engines wired to each other in memory, each on a store of its own. Nothing
// moves before Settle or Network.
class TestCluster {
 public:
  static constexpr ChunkHandle kHandle{7};
  static constexpr Epoch kEpoch{1};

  explicit TestCluster(int servers = 3) {
    for (int i = 1; i <= servers; ++i) nodes_.push_back(std::make_unique<Node>(*this, ServerId(i)));
  }
  ~TestCluster() {
    // Nothing is left to call into an engine that is gone.
    wire_.clear();
  }

  FakeChunkStore& store(int server) { return *nodes_[server - 1]->store; }
  Engine& engine(int server) { return *nodes_[server - 1]->engine; }
  RecordingEvents& events(int server) { return nodes_[server - 1]->events; }
  ManualClock& clock() { return clock_; }
  ManualExecutor& background() { return background_; }

  // The engine forgets what was not durable, as after a restart.
  void Restart(int server) { nodes_[server - 1]->Restart(); }
  // Messages from one server to another are lost.
  void Cut(int from, int to) { cut_.insert({ServerId(from), ServerId(to)}); }

  // Delivers messages until none is left, those that gather too; the stores
  // stay as they are.
  void Network() {
    do {
      while (!wire_.empty()) {
        auto deliver = std::move(wire_.front());
        wire_.pop_front();
        deliver();
      }
    } while (background_.RunAll());
  }
  // And has the stores complete, until nothing moves.
  void Settle() {
    bool moved = true;
    while (moved) {
      moved = !wire_.empty();
      Network();
      for (auto& node : nodes_) {
        if (node->store->submitted() > 0) {
          node->store->Complete();
          moved = true;
        }
      }
      moved |= background_.RunAll();
    }
  }

  CreateCommand CreateFor(uint64_t members = 3, int primary = 1) {
    CreateCommand command;
    command.replica.identity = {kHandle, InodeId(2), 1000, 1 << 20};
    command.replica.epoch = kEpoch;
    for (uint64_t i = 1; i <= members; ++i)
      command.members.push_back({ServerId(i), StrCat("server-", i)});
    command.primary = ServerId(primary);
    return command;
  }
  // A chunk on all servers, the first one primary.
  void CreateEverywhere() {
    for (size_t i = 1; i <= nodes_.size(); ++i)
      engine(i).Create(CreateFor(nodes_.size()), [](absl::Status) {});
    Settle();
  }
  ClientBatch Batch(StreamId stream, uint64_t sequence, std::string payload) {
    ClientBatch batch;
    batch.handle = kHandle;
    batch.epoch = kEpoch;
    batch.client = ClientId(5);
    batch.sequence = Sequence(sequence);
    batch.predecessor = Sequence(sequence - 1);
    batch.crc32c = Crc32c(payload);
    batch.payload = Buffer::From(std::move(payload));
    batch.stream = stream;
    return batch;
  }
  void Append(int server, const ClientBatch& batch) {
    engine(server).Append(std::span<const ClientBatch>(&batch, 1));
  }

 private:
  struct Node;

  // Votes on their way back from `from` to `to`.
  class FakeVotes final : public VoteSink {
   public:
    FakeVotes(TestCluster& cluster, ServerId from, ServerId to)
        : cluster_(cluster), from_(from), to_(to) {}
    void Queue(const Vote& vote) override { votes_.push_back(vote); }
    void Queue(const ConfirmAnswer& answer) override { confirms_.push_back(answer); }
    void ResumeReading() override {}
    void Flush() override {
      auto votes = std::exchange(votes_, {});
      auto confirms = std::exchange(confirms_, {});
      if (cluster_.cut_.contains({from_, to_})) return;
      cluster_.wire_.push_back([this, votes = std::move(votes), confirms = std::move(confirms)] {
        cluster_.engine(to_.value()).OnVotes(from_, votes, confirms);
      });
    }

   private:
    TestCluster& cluster_;
    const ServerId from_, to_;
    std::vector<Vote> votes_;
    std::vector<ConfirmAnswer> confirms_;
  };

  class FakeLink final : public PeerLink {
   public:
    FakeLink(TestCluster& cluster, ServerId from, ServerId to)
        : cluster_(cluster),
          from_(from),
          to_(to),
          votes_(std::make_shared<FakeVotes>(cluster, to, from)) {}
    void Queue(const Ready& ready) override { ready_.push_back(ready); }
    void Queue(const Commit& commit) override { commits_.push_back(commit); }
    void Queue(const Confirm& confirm) override { confirms_.push_back(confirm); }
    void Flush() override {
      auto ready = std::exchange(ready_, {});
      auto commits = std::exchange(commits_, {});
      auto confirms = std::exchange(confirms_, {});
      if (cluster_.cut_.contains({from_, to_})) return;
      cluster_.wire_.push_back([this, ready, commits, confirms] {
        cluster_.engine(to_.value()).OnReplicate(votes_, ready, commits, confirms);
      });
    }

   private:
    TestCluster& cluster_;
    const ServerId from_, to_;
    const std::shared_ptr<FakeVotes> votes_;
    std::vector<Ready> ready_;
    std::vector<Commit> commits_;
    std::vector<Confirm> confirms_;
  };

  struct Node final : PeerLinks {
    Node(TestCluster& owner, ServerId me)
        : cluster(owner), id(me), store(std::make_unique<FakeChunkStore>()) {
      Restart();
    }
    void Restart() {
      engine = std::make_unique<Engine>(*store, cluster.clock_, cluster.background_, *this, events,
                                        EngineOptions());
      engine->SetSelf(id);
      store->Start(*engine);
    }
    std::shared_ptr<PeerLink> To(ServerId server, const std::string&) override {
      auto& link = links[server];
      if (link == nullptr) link = std::make_shared<FakeLink>(cluster, id, server);
      return link;
    }

    TestCluster& cluster;
    const ServerId id;
    RecordingEvents events;
    std::map<ServerId, std::shared_ptr<FakeLink>> links;
    std::unique_ptr<FakeChunkStore> store;
    std::unique_ptr<Engine> engine;
  };

  ManualClock clock_;
  ManualExecutor background_;
  std::deque<absl::AnyInvocable<void()>> wire_;
  std::set<std::pair<ServerId, ServerId>> cut_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace appendfs
