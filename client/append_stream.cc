#include "client/append_stream.h"

#include <grpcpp/generic/generic_stub.h>

#include <deque>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/call_count.h"
#include "common/protocol.h"
#include "common/rpc/channel.h"
#include "common/rpc/payload.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr char kMethod[] = "/appendfs.v1.ChunkData/Append";
constexpr uint64_t kMessageBytes = 4ull << 20;  // payload coalesced into one message
constexpr size_t kMessageBatches = 4096;

// Keeps itself alive until gRPC is done with it.
class GrpcAppendStream final : public AppendStream,
                               public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                               public std::enable_shared_from_this<GrpcAppendStream> {
 public:
  GrpcAppendStream(std::string address, std::shared_ptr<CallCount> running)
      : address_(std::move(address)),
        channel_(MakeChannel(address_)),
        stub_(channel_),
        running_(std::move(running)) {}

  void Start(const std::string& cluster_uuid, ClientId client) {
    self_ = shared_from_this();
    running_->Add();
    v1::AppendRequest first;
    *first.mutable_hello()->mutable_version() = OurProtocol();
    first.mutable_hello()->set_cluster_uuid(cluster_uuid);
    first.mutable_hello()->set_client_id(client.value());
    outgoing_ = SerializeWithPayload(first, Buffer());
    stub_.PrepareBidiStreamingCall(&context_, kMethod, grpc::StubOptions(), this);
    StartWrite(&outgoing_);
    StartRead(&incoming_);
    AddHold();  // Send may start writes from other threads
    StartCall();
  }

  void Cancel() { context_.TryCancel(); }
  bool broken() {
    absl::MutexLock lock(&mutex_);
    return broken_;
  }

  void Attach(ChunkHandle handle, std::weak_ptr<AppendSink> sink) override {
    absl::MutexLock lock(&mutex_);
    sinks_[handle] = std::move(sink);
  }
  void Detach(ChunkHandle handle) override {
    absl::MutexLock lock(&mutex_);
    sinks_.erase(handle);
  }

  bool Send(std::vector<OutgoingBatch> batches) override {
    {
      absl::MutexLock lock(&mutex_);
      if (broken_) return false;
      for (OutgoingBatch& batch : batches) waiting_.push_back(std::move(batch));
      if (writing_) return true;
      writing_ = true;
      BuildMessage();
      AddHold();  // Break must not end the call before the write has begun
    }
    StartWrite(&outgoing_);
    RemoveHold();
    return true;
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      if (!ok) {
        Break();
        return;
      }
      outgoing_.Clear();
      if (waiting_.empty() || broken_) {
        writing_ = false;
        return;
      }
      BuildMessage();
    }
    StartWrite(&outgoing_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      absl::MutexLock lock(&mutex_);
      Break();
      return;
    }
    v1::AppendReply reply;
    absl::StatusOr<Buffer> payload = ParseWithPayload(incoming_, reply);
    if (!payload.ok() || reply.has_refusal()) {
      absl::MutexLock lock(&mutex_);
      refusal_ = payload.ok() ? FromProto(reply.refusal()) : payload.status();
      Break();
      return;
    }
    incoming_.Clear();
    Dispatch(reply);
    StartRead(&incoming_);
  }

  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<GrpcAppendStream> self = std::move(self_);
    absl::flat_hash_map<ChunkHandle, std::weak_ptr<AppendSink>> sinks;
    absl::Status why = FromGrpc(status, address_);
    {
      absl::MutexLock lock(&mutex_);
      broken_ = true;
      sinks.swap(sinks_);
      waiting_.clear();
      if (!refusal_.ok()) why = refusal_;
    }
    if (why.ok())
      why = MakeError(v1::UNREACHABLE, StrCat("chunkserver ", address_, " ended the stream"));
    for (auto& [handle, weak] : sinks)
      if (auto sink = weak.lock()) sink->OnBroken(*this, handle, why);
    running_->Remove();
  }

 private:
  // Takes what waits, up to a message's worth, into outgoing_.
  void BuildMessage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    v1::AppendRequest request;
    parts_.clear();
    uint64_t bytes = 0;
    while (!waiting_.empty() && parts_.size() < kMessageBatches &&
           (parts_.empty() || bytes + waiting_.front().payload.size() <= kMessageBytes)) {
      OutgoingBatch& batch = waiting_.front();
      v1::AppendBatch& item = *request.add_batches();
      item.set_handle(batch.handle.value());
      item.set_epoch(batch.epoch.value());
      item.set_sequence(batch.sequence.value());
      item.set_predecessor(batch.predecessor.value());
      if (batch.expected) {
        item.set_conditional(true);
        item.set_expected_offset(batch.expected->bytes());
      }
      item.set_length(batch.payload.size());
      item.set_crc32c(batch.crc32c);
      bytes += batch.payload.size();
      parts_.push_back(std::move(batch.payload));
      waiting_.pop_front();
    }
    outgoing_ = SerializeWithPayload(request, parts_);
    parts_.clear();
  }

  // Lets gRPC end the call; the sinks are told in OnDone.
  void Break() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (broken_) return;
    broken_ = true;
    context_.TryCancel();
    RemoveHold();
  }

  void Dispatch(const v1::AppendReply& reply) {
    ChunkHandle known;
    std::shared_ptr<AppendSink> sink;
    for (const v1::AppendOutcome& outcome : reply.outcomes()) {
      ChunkHandle handle(outcome.handle());
      if (handle != known) {
        absl::MutexLock lock(&mutex_);
        auto found = sinks_.find(handle);
        sink = found == sinks_.end() ? nullptr : found->second.lock();
        known = handle;
      }
      if (sink != nullptr) sink->OnOutcome(outcome);
    }
  }

  const std::string address_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  const std::shared_ptr<CallCount> running_;
  grpc::ClientContext context_;
  std::shared_ptr<GrpcAppendStream> self_;
  grpc::ByteBuffer incoming_;  // of the one read
  grpc::ByteBuffer outgoing_;  // of the one write; whoever set writing_ fills it

  absl::Mutex mutex_;
  std::deque<OutgoingBatch> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Buffer> parts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ChunkHandle, std::weak_ptr<AppendSink>> sinks_ ABSL_GUARDED_BY(mutex_);
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;  // the hello
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

class GrpcAppendStreams final : public AppendStreams {
 public:
  explicit GrpcAppendStreams(std::string cluster_uuid) : cluster_uuid_(std::move(cluster_uuid)) {}

  ~GrpcAppendStreams() override {
    {
      absl::MutexLock lock(&mutex_);
      for (auto& [key, stream] : streams_) stream->Cancel();
    }
    running_->AwaitNone();
  }

  std::shared_ptr<AppendStream> Get(const std::string& address, ClientId client) override {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<GrpcAppendStream>& stream = streams_[address];
    if (stream == nullptr || client != clients_[address] || stream->broken()) {
      if (stream != nullptr) stream->Cancel();
      stream = std::make_shared<GrpcAppendStream>(address, running_);
      clients_[address] = client;
      stream->Start(cluster_uuid_, client);
    }
    return stream;
  }

 private:
  const std::string cluster_uuid_;
  const std::shared_ptr<CallCount> running_ = std::make_shared<CallCount>();
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<GrpcAppendStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ClientId> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<AppendStreams> AppendStreams::Create(std::string cluster_uuid) {
  return std::make_unique<GrpcAppendStreams>(std::move(cluster_uuid));
}

}  // namespace appendfs
