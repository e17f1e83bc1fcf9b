#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/chunks/server_client.h"

namespace appendfs {

// Where a command goes, and what makes it refused once it is old.
struct CommandTarget {
  ServerId server;
  std::string address;
  uint64_t registration = 0;
};

// Commands to chunkservers, gathered per server: what comes while a call of its
// kind is under way shares the next one, so that a thousand recoveries are a
// few messages. Thread-safe; `done` runs exactly once, on a thread of the
// client, with no lock held.
class CommandSender {
 public:
  template <class Item>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Item>) &&>;

  CommandSender(ServerClient& client, std::string cluster_uuid, uint64_t incarnation);
  ~CommandSender();  // after the client is gone

  // Nothing is sent from now on; what waits is never answered.
  void Stop();
  // The server's process is another one: what the old one was told will not be
  // answered, which the network may not notice for long. Fails it, UNREACHABLE,
  // in the caller's thread.
  void Restarted(ServerId server);

  void Create(const CommandTarget& target, v1::CreateChunksRequest::Item item,
              Done<v1::CreateChunksResponse::Item> done);
  void Fence(const CommandTarget& target, v1::FenceRequest::Item item,
             Done<v1::FenceResponse::Item> done);
  void Conform(const CommandTarget& target, v1::ConformRequest::Item item,
               Done<v1::ConformResponse::Item> done);
  void Open(const CommandTarget& target, v1::OpenChunksRequest::Item item,
            Done<v1::OpenChunksResponse::Item> done);
  void Delete(const CommandTarget& target, ChunkHandle handle,
              Done<v1::DeleteChunksResponse::Item> done);

 private:
  template <class Request, class Response, class Item, class Answer>
  class Lane;
  using CreateLane = Lane<v1::CreateChunksRequest, v1::CreateChunksResponse,
                          v1::CreateChunksRequest::Item, v1::CreateChunksResponse::Item>;
  using FenceLane =
      Lane<v1::FenceRequest, v1::FenceResponse, v1::FenceRequest::Item, v1::FenceResponse::Item>;
  using ConformLane = Lane<v1::ConformRequest, v1::ConformResponse, v1::ConformRequest::Item,
                           v1::ConformResponse::Item>;
  using OpenLane = Lane<v1::OpenChunksRequest, v1::OpenChunksResponse, v1::OpenChunksRequest::Item,
                        v1::OpenChunksResponse::Item>;
  using DeleteLane = Lane<v1::DeleteChunksRequest, v1::DeleteChunksResponse, uint64_t,
                          v1::DeleteChunksResponse::Item>;

  const std::unique_ptr<CreateLane> create_;
  const std::unique_ptr<FenceLane> fence_;
  const std::unique_ptr<ConformLane> conform_;
  const std::unique_ptr<OpenLane> open_;
  const std::unique_ptr<DeleteLane> delete_;
};

}  // namespace appendfs
