#include "chunkserver/rpc/peer_stream_client.h"

#include <glog/logging.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "chunkserver/rpc/parcel_queue.h"
#include "common/protocol.h"
#include "common/rpc/channel.h"
#include "common/rpc/payload.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {
namespace {

constexpr char kReplicate[] = "/appendfs.v1.ChunkPeer/Replicate";
constexpr Duration kFirstBackoff = std::chrono::milliseconds(20);
constexpr Duration kLastBackoff = std::chrono::seconds(1);

}  // namespace

// One attempt at a stream, from connecting to breaking.
class PeerStreams::Stream final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(std::shared_ptr<Link> link, grpc::GenericStub& stub, const Membership::Self& self,
         ServerId to);

  template <class Fill>
  void Add(size_t payload_bytes, Fill fill) {
    requests_.Add(payload_bytes, fill);
  }
  // Once, before anything is written; `self` is kept until gRPC is done.
  void Begin(std::shared_ptr<Stream> self);
  void WriteNext();
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  absl::Status OnReply(const v1::ReplicateReply& reply);
  void Break();

  const std::shared_ptr<Link> link_;
  grpc::GenericStub& stub_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;
  ParcelQueue<v1::ReplicateRequest> requests_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer incoming_;
};

class PeerStreams::Link final : public PeerLink, public std::enable_shared_from_this<Link> {
 public:
  Link(PeerStreams& owner, ServerId server, std::string address)
      : owner_(owner),
        server_(server),
        address_(std::move(address)),
        stub_(MakeChannel(address_)) {}

  void Queue(const Ready& ready) override;
  void Queue(const Commit& commit) override;
  void Queue(const Confirm& confirm) override;
  void Flush() override;

  const std::string& address() const { return address_; }
  ServerId server() const { return server_; }
  PeerStreams& owner() { return owner_; }
  void Welcomed();  // the other side answered the greeting
  void Broken(const Stream* stream);
  void Stop();

 private:
  template <class Fill>
  void Add(size_t payload_bytes, Fill fill);
  void Connect();

  PeerStreams& owner_;
  const ServerId server_;
  const std::string address_;
  grpc::GenericStub stub_;

  absl::Mutex mutex_;
  enum class State { kWaiting, kBeginning, kBegun };
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);  // null: nothing to send yet
  State state_ ABSL_GUARDED_BY(mutex_) = State::kWaiting;   // of stream_
  Duration backoff_ ABSL_GUARDED_BY(mutex_){};              // before the next attempt
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

PeerStreams::Stream::Stream(std::shared_ptr<Link> link, grpc::GenericStub& stub,
                            const Membership::Self& self, ServerId to)
    : link_(std::move(link)), stub_(stub) {
  requests_.AddAlone([&](auto& parcel) {
    v1::PeerHello& hello = *parcel.header.mutable_hello();
    *hello.mutable_version() = OurProtocol();
    hello.set_cluster_uuid(self.cluster_uuid);
    hello.set_server_id(self.server.value());
    hello.set_expected_server_id(to.value());
  });
}

void PeerStreams::Stream::Begin(std::shared_ptr<Stream> self) {
  self_ = std::move(self);
  link_->owner().StreamBegun();
  stub_.PrepareBidiStreamingCall(&context_, kReplicate, grpc::StubOptions(), this);
  AddHold();  // writes start outside of reactions; until the queue is closed
  StartRead(&incoming_);
  StartCall();
}

void PeerStreams::Stream::WriteNext() {
  auto parcel = requests_.Take();
  if (!parcel) return;
  outgoing_ = SerializeWithPayload(parcel->header, parcel->payload);
  StartWrite(&outgoing_);
}

void PeerStreams::Stream::OnWriteDone(bool ok) {
  outgoing_.Clear();
  if (!ok) Break();
  if (requests_.Written()) return RemoveHold();
  WriteNext();
}

void PeerStreams::Stream::OnReadDone(bool ok) {
  if (!ok) return Break();
  v1::ReplicateReply reply;
  absl::Status status = ParseWithPayload(incoming_, reply).status();
  incoming_.Clear();
  if (status.ok()) status = OnReply(reply);
  if (!status.ok()) {
    LOG(WARNING) << "stream to server " << link_->server() << " at " << link_->address() << ": "
                 << status;
    context_.TryCancel();
    return Break();
  }
  StartRead(&incoming_);
}

absl::Status PeerStreams::Stream::OnReply(const v1::ReplicateReply& reply) {
  if (reply.has_refusal()) return FromProto(reply.refusal());
  if (reply.has_version()) {
    APPENDFS_RETURN_IF_ERROR(CheckProtocol(reply.version(), StrCat("server ", link_->server())));
    link_->Welcomed();
  }
  std::vector<Vote> votes;
  std::vector<ConfirmAnswer> confirms;
  votes.reserve(reply.votes_size());
  for (const v1::Vote& from : reply.votes())
    votes.push_back({ChunkHandle(from.handle()), Epoch(from.epoch()), from.durable_length(),
                     from.has_error() ? FromProto(from.error()) : absl::OkStatus()});
  for (const v1::ConfirmReply& from : reply.confirms())
    confirms.push_back({ChunkHandle(from.handle()), from.round(), Epoch(from.promised_epoch()),
                        from.has_error() ? FromProto(from.error()) : absl::OkStatus()});
  if (!votes.empty() || !confirms.empty())
    link_->owner().engine_->OnVotes(link_->server(), votes, confirms);
  return absl::OkStatus();
}

void PeerStreams::Stream::Break() {
  const bool end = requests_.Close();
  link_->Broken(this);
  if (end) RemoveHold();
}

void PeerStreams::Stream::OnDone(const grpc::Status& status) {
  LOG(INFO) << "stream to server " << link_->server() << " at " << link_->address()
            << " ended: " << (status.ok() ? "closed" : status.error_message());
  auto last = std::move(self_);
  last->link_->owner().StreamEnded();
}

template <class Fill>
void PeerStreams::Link::Add(size_t payload_bytes, Fill fill) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  if (stream_ == nullptr) {
    stream_ =
        std::make_shared<Stream>(shared_from_this(), stub_, owner_.membership_.self(), server_);
    state_ = State::kWaiting;
  }
  stream_->Add(payload_bytes, fill);
}

void PeerStreams::Link::Queue(const Ready& ready) {
  Add(ready.payload.size(), [&](auto& parcel) {
    v1::ReadyBatch& to = *parcel.header.add_ready();
    to.set_handle(ready.handle.value());
    to.set_epoch(ready.epoch.value());
    to.set_offset(ready.offset);
    to.set_length(static_cast<uint32_t>(ready.payload.size()));
    to.set_crc32c(ready.crc32c);
    to.set_client_id(ready.client.value());
    to.set_sequence(ready.sequence.value());
    to.set_mtime_ns(ready.mtime_ns);
    parcel.payload.push_back(ready.payload);
  });
}

void PeerStreams::Link::Queue(const Commit& commit) {
  Add(0, [&](auto& parcel) {
    auto& commits = *parcel.header.mutable_commits();
    if (commits.empty() || commits.rbegin()->handle() != commit.handle.value()) commits.Add();
    v1::CommitNotice& to = *commits.rbegin();
    to.set_handle(commit.handle.value());
    to.set_epoch(commit.epoch.value());
    to.set_length(commit.length);
  });
}

void PeerStreams::Link::Queue(const Confirm& confirm) {
  Add(0, [&](auto& parcel) {
    v1::ConfirmRequest& to = *parcel.header.add_confirms();
    to.set_handle(confirm.handle.value());
    to.set_epoch(confirm.epoch.value());
    to.set_round(confirm.round);
  });
}

void PeerStreams::Link::Flush() {
  std::shared_ptr<Stream> stream;
  Duration delay{};
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ == nullptr || state_ == State::kBeginning) return;
    if (state_ == State::kBegun) stream = stream_;
    if (state_ == State::kWaiting) state_ = State::kBeginning;
    delay = backoff_;
  }
  if (stream != nullptr) return stream->WriteNext();
  if (delay == Duration::zero()) return Connect();
  owner_.timers_.PostAfter(delay, [self = shared_from_this()] { self->Connect(); });
}

void PeerStreams::Link::Connect() {
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ == nullptr) return;
    stream = stream_;
  }
  stream->Begin(stream);
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ == stream) state_ = State::kBegun;
  }
  stream->WriteNext();
}

void PeerStreams::Link::Welcomed() {
  absl::MutexLock lock(&mutex_);
  backoff_ = Duration::zero();
}

void PeerStreams::Link::Broken(const Stream* stream) {
  {
    absl::MutexLock lock(&mutex_);
    if (stream_.get() != stream) return;
    stream_ = nullptr;
    backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kLastBackoff);
  }
  owner_.engine_->OnPeerBroken(server_);
}

void PeerStreams::Link::Stop() {
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    stream = std::exchange(stream_, nullptr);
  }
  if (stream) stream->Cancel();
}

PeerStreams::PeerStreams(Membership& membership, Executor& timers)
    : membership_(membership), timers_(timers) {}

PeerStreams::~PeerStreams() { Stop(); }

std::shared_ptr<PeerLink> PeerStreams::To(ServerId server, const std::string& address) {
  std::shared_ptr<Link> link, moved;
  {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Link>& known = links_[server];
    if (known != nullptr && known->address() != address) moved = std::move(known);
    if (known == nullptr) known = std::make_shared<Link>(*this, server, address);
    link = known;
  }
  if (moved != nullptr) {
    moved->Stop();
    engine_->OnPeerBroken(server);
  }
  return link;
}

void PeerStreams::StreamBegun() {
  absl::MutexLock lock(&mutex_);
  ++streams_;
}

void PeerStreams::StreamEnded() {
  absl::MutexLock lock(&mutex_);
  --streams_;
}

void PeerStreams::Stop() {
  absl::flat_hash_map<ServerId, std::shared_ptr<Link>> links;
  {
    absl::MutexLock lock(&mutex_);
    links = std::exchange(links_, {});
  }
  for (const auto& [server, link] : links) link->Stop();
  absl::MutexLock lock(&mutex_);
  auto quiet = [this] {
    mutex_.AssertHeld();
    return streams_ == 0;
  };
  mutex_.Await(absl::Condition(&quiet));
}

}  // namespace appendfs
