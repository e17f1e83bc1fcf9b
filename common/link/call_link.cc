#include "common/link/call_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/link/parcel_queue.h"
#include "common/protocol.h"
#include "common/str_cat.h"

namespace appendfs {

// One connection, from its making to its end.
template <class Calls>
class BasicCallLink<Calls>::Stream final : public FrameLink::Owner,
                                           public std::enable_shared_from_this<Stream> {
 public:
  Stream(std::shared_ptr<BasicCallLink> owner, std::shared_ptr<FrameLink> way)
      : owner_(std::move(owner)), way_(std::move(way)) {
    calls_.AddAlone([this](auto& parcel) {
      auto& hello = *parcel.header.mutable_hello();
      *hello.mutable_version() = OurProtocol();
      hello.set_cluster_uuid(owner_->cluster_uuid_);
    });
  }
  void Begin() { way_->Begin(this->shared_from_this()); }
  void Add(typename Calls::Call call) {
    calls_.AddAlone([&](auto& parcel) { parcel.header = std::move(call); });
  }
  void WriteNext() {
    while (auto parcel = calls_.Take()) {
      if (!way_->Write(parcel->header, parcel->payload)) return;
      calls_.Written();
    }
  }
  void Close() { way_->Close(); }

  absl::Status OnFrame(const FrameParser::Frame& frame) override {
    APPENDFS_ASSIGN_OR_RETURN(auto header, ParseHeader<typename Calls::Answer>(frame));
    if (header.has_refusal()) return FromProto(header.refusal());
    if (header.has_version())
      return CheckProtocol(header.version(), StrCat(Calls::kPeer, " ", owner_->address_));
    if (Calls::News::IsNews(header)) {
      owner_->news_.OnNews(header, [self = this->shared_from_this()](typename Calls::Call call) {
        self->Add(std::move(call));
        self->WriteNext();
      });
      return absl::OkStatus();
    }
    owner_->OnAnswer({std::move(header), frame.payload});
    return absl::OkStatus();
  }
  void OnWritten() override {
    calls_.Written();
    WriteNext();
  }
  void OnClosed(const absl::Status& why) override {
    calls_.Close();
    owner_->OnEnded(this, why);
  }

 private:
  const std::shared_ptr<BasicCallLink> owner_;
  const std::shared_ptr<FrameLink> way_;
  ParcelQueue<typename Calls::Call> calls_;
};

template <class Calls>
void BasicCallLink<Calls>::Call(typename Calls::Call call, Duration deadline, Done done) {
  std::shared_ptr<Stream> stream;
  bool begin = false;
  {
    absl::MutexLock lock(&mutex_);
    if (!stopped_) {
      if (stream_ == nullptr) {
        stream_ = std::make_shared<Stream>(this->shared_from_this(),
                                           FrameLink::To(threads_, address_, Calls::kKind));
        heard_ = clock_.Monotonic();
        begin = true;
      }
      stream = stream_;
      call.set_id(++last_id_);
      pending_.emplace(last_id_,
                       Pending{deadline, clock_.Monotonic(), std::exchange(done, nullptr)});
      Watch(deadline);
      stream->Add(std::move(call));
    }
  }
  if (done) return std::move(done)(MakeError(v1::UNREACHABLE, StrCat(address_, ": closing")));
  if (begin) stream->Begin();
  stream->WriteNext();
}

template <class Calls>
void BasicCallLink<Calls>::OnAnswer(Answer answer) {
  typename PendingCalls::node_type call;
  {
    absl::MutexLock lock(&mutex_);
    heard_ = clock_.Monotonic();
    call = pending_.extract(answer.header.id());
  }
  news_.OnAnswer(answer.header, call.empty() ? std::nullopt : std::optional(call.mapped().sent));
  if (call.empty()) return;  // answered too late
  if (answer.header.has_error())
    std::move(call.mapped().done)(FromProto(answer.header.error()));
  else
    std::move(call.mapped().done)(std::move(answer));
}

template <class Calls>
void BasicCallLink<Calls>::OnEnded(const Stream* stream, const absl::Status& why) {
  PendingCalls ended;
  {
    absl::MutexLock lock(&mutex_);
    if (stream_.get() != stream) return;
    news_.OnBroken();
    stream_.reset();
    ended.swap(pending_);
  }
  for (auto& [id, call] : ended) std::move(call.done)(why);
}

template <class Calls>
void BasicCallLink<Calls>::Watch(Duration deadline) {
  if (deadline >= watching_) return;
  watching_ = deadline;
  timers_.PostAfter(std::max(deadline - clock_.Monotonic(), Duration::zero()),
                    [weak = this->weak_from_this(), deadline] {
                      if (auto self = weak.lock()) self->ExpireDue(deadline);
                    });
}

template <class Calls>
void BasicCallLink<Calls>::ExpireDue(Duration watched) {
  std::vector<Done> due;
  {
    absl::MutexLock lock(&mutex_);
    if (watching_ != watched) return;  // an earlier deadline has come since, and another timer
    const Duration now = clock_.Monotonic();
    Duration next = Duration::max();
    watching_ = Duration::max();
    absl::erase_if(pending_, [&](auto& entry) {
      if (entry.second.deadline > now) {
        next = std::min(next, entry.second.deadline);
        return false;
      }
      due.push_back(std::move(entry.second.done));
      return true;
    });
    if (next != Duration::max()) Watch(next);
  }
  for (Done& done : due)
    std::move(done)(MakeError(v1::TIMED_OUT, StrCat(Calls::kPeer, " ", address_, ": no answer")));
}

template <class Calls>
void BasicCallLink<Calls>::BreakIfSilentSince(Duration since) {
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mutex_);
    if (heard_ <= since) stream = stream_;
  }
  if (stream != nullptr) stream->Close();
}

template <class Calls>
void BasicCallLink<Calls>::Stop() {
  std::shared_ptr<Stream> stream;
  PendingCalls ended;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    news_.OnStopped();
    stream.swap(stream_);
    ended.swap(pending_);
  }
  if (stream != nullptr) stream->Close();
  for (auto& [id, call] : ended)
    std::move(call.done)(MakeError(v1::UNREACHABLE, StrCat(address_, ": closing")));
}

template class BasicCallLink<DataCalls>;
template class BasicCallLink<CallsToMaster>;

std::shared_ptr<CallLink> CallLinks::To(const std::string& address,
                                        const std::string& cluster_uuid) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<CallLink>& link = links_[address];
  if (link == nullptr) {
    link = std::make_shared<CallLink>(threads_, timers_, clock_, address, cluster_uuid);
    if (stopped_) link->Stop();
  }
  return link;
}

void CallLinks::Stop() {
  std::map<std::string, std::shared_ptr<CallLink>> links;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    links = links_;
  }
  for (const auto& [address, link] : links) link->Stop();
}

}  // namespace appendfs
