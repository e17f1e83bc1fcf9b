#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"
#include "common/status.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// The master's way to the chunkservers (service ChunkControl). Calls return at
// once; `done` runs exactly once, on any thread, at the latest when `timeout`
// has passed, never inside the call itself. Thread-safe.
class ServerClient {
 public:
  template <class Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>) &&>;

  // Ends what is under way and waits until no `done` runs any more.
  virtual ~ServerClient() = default;

  virtual void Call(const std::string& address, v1::CreateChunksRequest request, Duration timeout,
                    Done<v1::CreateChunksResponse> done) = 0;
  virtual void Call(const std::string& address, v1::FenceRequest request, Duration timeout,
                    Done<v1::FenceResponse> done) = 0;
  virtual void Call(const std::string& address, v1::ConformRequest request, Duration timeout,
                    Done<v1::ConformResponse> done) = 0;
  virtual void Call(const std::string& address, v1::OpenChunksRequest request, Duration timeout,
                    Done<v1::OpenChunksResponse> done) = 0;
  virtual void Call(const std::string& address, v1::DeleteChunksRequest request, Duration timeout,
                    Done<v1::DeleteChunksResponse> done) = 0;
  virtual void Call(const std::string& address, v1::InspectRequest request, Duration timeout,
                    Done<v1::InspectResponse> done) = 0;

  // There is a new process at `address`: later calls connect at once, instead
  // of waiting until it is time to try a broken connection again.
  virtual void ConnectAnew(const std::string& address) {}
};

std::unique_ptr<ServerClient> MakeGrpcServerClient();

}  // namespace appendfs
