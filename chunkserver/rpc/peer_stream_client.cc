#include "chunkserver/rpc/peer_stream_client.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/link/frame_link.h"
#include "common/link/parcel_queue.h"
#include "common/protocol.h"
#include "common/str_cat.h"
#include "proto/chunkserver.pb.h"

namespace appendfs {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(20);
constexpr Duration kLastBackoff = std::chrono::seconds(1);

}  // namespace

// One attempt at a stream, from connecting to breaking.
class PeerStreams::Stream final : public FrameLink::Owner,
                                  public std::enable_shared_from_this<Stream> {
 public:
  Stream(std::shared_ptr<Link> link, std::shared_ptr<FrameLink> way, const Membership::Self& self,
         ServerId to);

  template <class Fill>
  void Add(size_t payload_bytes, Fill fill) {
    requests_.Add(payload_bytes, fill);
  }
  void Begin() { way_->Begin(shared_from_this()); }
  void WriteNext();
  void Close() { way_->Close(); }

  absl::Status OnFrame(const FrameParser::Frame& frame) override;
  void OnWritten() override;
  void OnClosed(const absl::Status& why) override;

 private:
  const std::shared_ptr<Link> link_;
  const std::shared_ptr<FrameLink> way_;
  ParcelQueue<v1::ReplicateRequest> requests_;
};

class PeerStreams::Link final : public PeerLink, public std::enable_shared_from_this<Link> {
 public:
  Link(PeerStreams& owner, ServerId server, std::string address)
      : owner_(owner), server_(server), address_(std::move(address)) {}

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
  void Connect(const std::shared_ptr<Stream>& stream);

  PeerStreams& owner_;
  const ServerId server_;
  const std::string address_;

  absl::Mutex mutex_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);  // null: nothing to send yet
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;              // stream_, or it is about to
  Duration backoff_ ABSL_GUARDED_BY(mutex_){};              // before the next attempt
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

PeerStreams::Stream::Stream(std::shared_ptr<Link> link, std::shared_ptr<FrameLink> way,
                            const Membership::Self& self, ServerId to)
    : link_(std::move(link)), way_(std::move(way)) {
  requests_.AddAlone([&](auto& parcel) {
    v1::PeerHello& hello = *parcel.header.mutable_hello();
    *hello.mutable_version() = OurProtocol();
    hello.set_cluster_uuid(self.cluster_uuid);
    hello.set_server_id(self.server.value());
    hello.set_expected_server_id(to.value());
  });
}

void PeerStreams::Stream::WriteNext() {
  while (auto parcel = requests_.Take()) {
    if (!way_->Write(parcel->header, parcel->payload)) return;
    requests_.Written();
  }
}

void PeerStreams::Stream::OnWritten() {
  requests_.Written();
  WriteNext();
}

absl::Status PeerStreams::Stream::OnFrame(const FrameParser::Frame& frame) {
  APPENDFS_ASSIGN_OR_RETURN(const auto reply, ParseHeader<v1::ReplicateReply>(frame));
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

void PeerStreams::Stream::OnClosed(const absl::Status& why) {
  LOG(INFO) << "stream to server " << link_->server() << " at " << link_->address()
            << " ended: " << why;
  requests_.Close();
  link_->Broken(this);
}

template <class Fill>
void PeerStreams::Link::Add(size_t payload_bytes, Fill fill) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  if (stream_ == nullptr) {
    stream_ = std::make_shared<Stream>(
        shared_from_this(), FrameLink::To(owner_.threads_, address_, LinkKind::kReplicate),
        owner_.membership_.self(), server_);
    begun_ = false;
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
  bool begin = false;
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ == nullptr) return;
    stream = stream_;
    begin = !std::exchange(begun_, true);
    delay = backoff_;
  }
  if (!begin) return stream->WriteNext();
  if (delay == Duration::zero()) return Connect(stream);
  owner_.timers_.PostAfter(
      delay, [self = shared_from_this(), stream = std::move(stream)] { self->Connect(stream); });
}

void PeerStreams::Link::Connect(const std::shared_ptr<Stream>& stream) {
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ != stream) return;
  }
  stream->Begin();
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
  if (stream) stream->Close();
}

PeerStreams::PeerStreams(Membership& membership, IoThreads& threads, Executor& timers)
    : membership_(membership), threads_(threads), timers_(timers) {}

PeerStreams::~PeerStreams() { Stop(); }

std::shared_ptr<PeerLink> PeerStreams::To(ServerId server, const std::string& address) {
  std::shared_ptr<Link> link, moved;
  {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Link>& known = links_[server];
    if (known != nullptr && known->address() != address) moved = std::move(known);
    if (known == nullptr) {
      known = std::make_shared<Link>(*this, server, address);
      if (stopped_) known->Stop();
    }
    link = known;
  }
  if (moved != nullptr) {
    moved->Stop();
    engine_->OnPeerBroken(server);
  }
  return link;
}

void PeerStreams::Stop() {
  absl::flat_hash_map<ServerId, std::shared_ptr<Link>> links;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    links = std::exchange(links_, {});
  }
  for (const auto& [server, link] : links) link->Stop();
}

}  // namespace appendfs
