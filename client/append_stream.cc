#include "client/append_stream.h"

#include <deque>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/link/frame_link.h"
#include "common/protocol.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr uint64_t kMessageBytes = 4ull << 20;  // payload coalesced into one message
constexpr size_t kMessageBatches = 4096;
constexpr Duration kPace = std::chrono::milliseconds(2);  // of messages that nobody waits for

class LinkAppendStream final : public AppendStream,
                               public FrameLink::Owner,
                               public std::enable_shared_from_this<LinkAppendStream> {
 public:
  LinkAppendStream(IoThreads& threads, Executor& timers, const Clock& clock, std::string address)
      : timers_(timers),
        clock_(clock),
        address_(std::move(address)),
        link_(FrameLink::To(threads, address_, LinkKind::kAppend)) {}

  void Start(const std::string& cluster_uuid, ClientId client) {
    v1::AppendRequest first;
    *first.mutable_hello()->mutable_version() = OurProtocol();
    first.mutable_hello()->set_cluster_uuid(cluster_uuid);
    first.mutable_hello()->set_client_id(client.value());
    link_->Begin(shared_from_this());
    if (link_->Write(first, {})) OnWritten();
  }

  void Cancel() { link_->Close(); }
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
    absl::MutexLock lock(&mutex_);
    if (broken_) return false;
    for (OutgoingBatch& batch : batches) waiting_.push_back(std::move(batch));
    return true;
  }

  void Flush() override {
    v1::AppendRequest request;
    std::vector<Buffer> payload;
    while (BuildMessage(request, payload)) {
      if (!link_->Write(request, payload)) return;
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
  }

  void FlushSoon() override {
    {
      absl::MutexLock lock(&mutex_);
      if (gathering_) return;
      const Duration now = clock_.Monotonic();
      if (now < next_message_) {
        gathering_ = true;
        timers_.PostAfter(next_message_ - now, [weak = weak_from_this()] {
          if (auto self = weak.lock()) self->FlushGathered();
        });
        return;
      }
      next_message_ = now + kPace;
    }
    Flush();
  }

  void OnWritten() override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
    Flush();
  }

  absl::Status OnFrame(const FrameParser::Frame& frame) override {
    APPENDFS_ASSIGN_OR_RETURN(const auto reply, ParseHeader<v1::AppendReply>(frame));
    if (reply.has_refusal()) return FromProto(reply.refusal());
    if (reply.has_version())
      APPENDFS_RETURN_IF_ERROR(CheckProtocol(reply.version(), StrCat("chunkserver ", address_)));
    Dispatch(reply);
    return absl::OkStatus();
  }

  void OnClosed(const absl::Status& why) override {
    absl::flat_hash_map<ChunkHandle, std::weak_ptr<AppendSink>> sinks;
    {
      absl::MutexLock lock(&mutex_);
      broken_ = true;
      sinks.swap(sinks_);
      waiting_.clear();
    }
    for (auto& [handle, weak] : sinks)
      if (auto sink = weak.lock()) sink->OnBroken(*this, handle, why);
  }

 private:
  void FlushGathered() {
    {
      absl::MutexLock lock(&mutex_);
      gathering_ = false;
      next_message_ = clock_.Monotonic() + kPace;
    }
    Flush();
  }

  // Takes what waits, up to a message's worth, unless a write is under way.
  bool BuildMessage(v1::AppendRequest& request, std::vector<Buffer>& payload) {
    request.Clear();
    payload.clear();
    absl::MutexLock lock(&mutex_);
    if (writing_ || broken_ || waiting_.empty()) return false;
    writing_ = true;
    uint64_t bytes = 0;
    while (!waiting_.empty() && payload.size() < kMessageBatches &&
           (payload.empty() || bytes + waiting_.front().payload.size() <= kMessageBytes)) {
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
      payload.push_back(std::move(batch.payload));
      waiting_.pop_front();
    }
    return true;
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

  Executor& timers_;
  const Clock& clock_;
  const std::string address_;
  const std::shared_ptr<FrameLink> link_;

  absl::Mutex mutex_;
  std::deque<OutgoingBatch> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ChunkHandle, std::weak_ptr<AppendSink>> sinks_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;      // the hello
  Duration next_message_ ABSL_GUARDED_BY(mutex_){};  // that nobody waits for
  bool gathering_ ABSL_GUARDED_BY(mutex_) = false;   // FlushGathered is due
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

class LinkAppendStreams final : public AppendStreams {
 public:
  LinkAppendStreams(std::string cluster_uuid, IoThreads& threads, Executor& timers,
                    const Clock& clock)
      : cluster_uuid_(std::move(cluster_uuid)), threads_(threads), timers_(timers), clock_(clock) {}

  ~LinkAppendStreams() override {
    absl::MutexLock lock(&mutex_);
    for (auto& [key, stream] : streams_) stream->Cancel();
  }

  std::shared_ptr<AppendStream> Get(const std::string& address, ClientId client) override {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<LinkAppendStream>& stream = streams_[address];
    if (stream == nullptr || client != clients_[address] || stream->broken()) {
      if (stream != nullptr) stream->Cancel();
      stream = std::make_shared<LinkAppendStream>(threads_, timers_, clock_, address);
      clients_[address] = client;
      stream->Start(cluster_uuid_, client);
    }
    return stream;
  }

 private:
  const std::string cluster_uuid_;
  IoThreads& threads_;
  Executor& timers_;
  const Clock& clock_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<LinkAppendStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ClientId> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<AppendStreams> AppendStreams::Create(std::string cluster_uuid, IoThreads& threads,
                                                     Executor& timers, const Clock& clock) {
  return std::make_unique<LinkAppendStreams>(std::move(cluster_uuid), threads, timers, clock);
}

}  // namespace appendfs
