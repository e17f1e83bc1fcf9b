#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "tests/sim/kernel.h"
#include "tests/sim/network.h"

namespace appendfs::sim {

class ServerNode;
class MasterNode;
class History;
class Ledger;

// The machines and what lies between them.
struct World {
  explicit World(uint64_t seed);
  ~World();

  Kernel kernel;
  Network network{kernel};
  std::unique_ptr<MasterNode> master;
  std::vector<std::unique_ptr<ServerNode>> servers;
  std::unique_ptr<History> history;
  std::unique_ptr<Ledger> ledger;
  uint64_t chunk_bytes = 4096;
  Duration session_timeout = seconds(4);
  // Nobody writes until then: chunks are idle now and then.
  Duration quiet_until{};
  // Everybody writes as fast as can be until then: chunks fill, and others follow.
  Duration brisk_until{};
  // The master has logged that a chunk is being recovered.
  std::function<void(ChunkHandle)> on_recovery;
  // A server has answered a fence with what it holds.
  std::function<void(ServerNode&, ChunkHandle)> on_promise;
  // The disk lost its power in the middle of a write.
  std::function<void(ServerNode&)> on_power_lost;

  ServerNode* ServerAt(const std::string& address);
};

// Makes a blocking call of a fiber out of Network::Call.
template <class Response>
absl::StatusOr<Response> CallAndWait(World& world, Host& from, Host& to, Duration timeout,
                                     std::function<void(Network::Reply<Response>)> serve) {
  struct Answer {
    absl::StatusOr<Response> response;
    bool there = false;
  };
  auto answer = std::make_shared<Answer>();
  world.network.Call<Response>(from, to, timeout, std::move(serve),
                               [answer](absl::StatusOr<Response> response) {
                                 answer->response = std::move(response);
                                 answer->there = true;
                               });
  world.kernel.Wait([answer] { return answer->there; }, Duration::max());
  return std::move(answer->response);
}

}  // namespace appendfs::sim
