#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chunkserver/engine/chunk_reader.h"
#include "chunkserver/engine/conformer.h"
#include "chunkserver/engine/control.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/engine/event_queue.h"
#include "chunkserver/engine/heartbeat.h"
#include "chunkserver/engine/membership.h"
#include "tests/sim/network.h"
#include "tests/sim/sim_chunk_store.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs::sim {

// What machines call each other by, and who answers there.
struct World;

// A chunkserver: the product's engine, store, commands and heartbeat, put
// together as ChunkserverProcess does it, on a simulated disk.
class ServerNode {
 public:
  ServerNode(World& world, std::string name);
  ~ServerNode();

  // Starts the process; an error says why it cannot.
  absl::Status Start();
  // The process dies; with the power, what was not synced may be lost.
  void Crash(bool power);

  Host host;
  SimFileSystem disk;
  bool disk_harmed = false;  // bits flipped: may lose what it had
  // A sync fails, or has: the process may give up its disk, or not start. It is held
  // to what it has said was durable, and to no more.
  bool disk_failed = false;
  // Of bits only those of the journal flipped.
  bool journal_harmed() const { return !data_harmed_; }
  // The journal's newest group may have been hit: whether that was synced,
  // nothing on the disk can tell.
  bool disk_may_forget() const { return data_harmed_ || may_forget_; }
  // A bit of this file flips. `provable`: of an older group of the journal.
  void Harm(const std::string& path, uint64_t offset, int bit, bool provable);

  // What comes over the network; the process is up.
  class Process;
  Process* process() { return process_.get(); }

  // --- for the checkers --------------------------------------------------------
  ChunkStore* store();
  Engine* engine();
  // As it registered last; none: never.
  ServerId id();

 private:
  World& world_;
  std::unique_ptr<Process> process_;
  bool data_harmed_ = false, may_forget_ = false;
  uint64_t groups_before_harm_ = 0;
  ServerId last_id_;
};

class ServerNode::Process {
 public:
  Process(World& world, ServerNode& node);
  ~Process();
  absl::Status Start();

  // Fiber-less entries of the services.
  void Control(const std::function<void(appendfs::Control&)>& command);
  void Read(const v1::ReadRequest& request, ChunkReader::Answer answer);
  absl::StatusOr<ReadResult> Fetch(const v1::FetchRequest& request);
  void TailLengths(const v1::TailLengthsRequest& request,
                   absl::AnyInvocable<void(v1::TailLengthsResponse) &&> answer);
  // A client's end of a stream has said hello.
  StreamId AcceptClient(const std::shared_ptr<Stream>& stream, ClientId client,
                        std::function<void(std::vector<v1::AppendOutcome>)> deliver);
  void Append(const std::vector<ClientBatch>& batches);

 private:
  friend class ServerNode;
  class Client;
  class Peer;
  class Link;
  class Links;
  class Fetcher;
  class Master;
  void Tick();

  World& world_;
  ServerNode& node_;
  SimClock clock_;
  std::unique_ptr<SimChunkStore> store_;
  std::unique_ptr<Membership> membership_;
  EventQueue events_;
  std::unique_ptr<Executor> background_;
  std::unique_ptr<Links> links_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ChunkReader> reader_;
  std::unique_ptr<ChunkFetcher> fetcher_;
  std::unique_ptr<Conformer> conformer_;
  std::unique_ptr<appendfs::Control> control_;
  std::unique_ptr<MasterLink> master_;
  std::unique_ptr<Heartbeat> heartbeat_;
};

}  // namespace appendfs::sim
