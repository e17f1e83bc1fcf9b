#pragma once

#include "absl/functional/any_invocable.h"
#include "chunkserver/engine/engine.h"
#include "chunkserver/store/chunk_store.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {

// Serves bytes of replicas: committed ones to clients, durable ones to other
// servers. Thread-safe. Reads the disk, mostly the page cache, on the calling
// thread, or on the one that has confirmed a fresh read.
class ChunkReader {
 public:
  static constexpr uint32_t kMaxBytes = 4u << 20;
  using Answer = absl::AnyInvocable<void(absl::StatusOr<ReadResult>) &&>;

  ChunkReader(Engine& engine, ChunkStore& store) : engine_(engine), store_(store) {}

  // What ReadRequest asks for; committed_length of the answer is the chunk's
  // as far as it is known here.
  void Read(const v1::ReadRequest& request, Answer answer);
  absl::StatusOr<ReadResult> Fetch(const v1::FetchRequest& request);
  // One answer per question, in order, once all are known.
  void TailLengths(const v1::TailLengthsRequest& request,
                   absl::AnyInvocable<void(v1::TailLengthsResponse) &&> answer);

 private:
  absl::StatusOr<ReadResult> ReadCommitted(const v1::ReadRequest& request);
  absl::StatusOr<ReadResult> ReadFresh(const v1::ReadRequest& request, const FreshLength& fresh);

  Engine& engine_;
  ChunkStore& store_;
};

}  // namespace appendfs
