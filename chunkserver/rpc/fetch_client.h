#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/engine/chunk_fetcher.h"

namespace grpc {
class Channel;
}

namespace appendfs {

// ChunkPeer.Fetch of other servers, payload raw. Thread-safe; keeps one
// connection per address.
class FetchClient final : public ChunkFetcher {
 public:
  FetchClient();
  ~FetchClient() override;
  absl::StatusOr<FetchedBytes> Fetch(const std::string& address, ChunkHandle handle, Epoch epoch,
                                     uint64_t offset, uint32_t length) override;

 private:
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<grpc::Channel>> channels_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
