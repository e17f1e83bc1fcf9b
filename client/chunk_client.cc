#include "client/chunk_client.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/link/call_link.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr int kQuestionsUnderWay = 2;  // per server
constexpr size_t kQuestionItems = 4096;

class LinkChunkClient final : public ChunkClient {
 public:
  LinkChunkClient(std::string cluster_uuid, IoThreads& threads, Executor& timers,
                  const Clock& clock)
      : cluster_uuid_(std::move(cluster_uuid)), links_(threads, timers, clock) {}
  ~LinkChunkClient() override { links_.Stop(); }  // answers come to peers_

  void Read(const std::string& address, const v1::ReadRequest& request, Duration deadline,
            ReadDone done) override {
    v1::DataCall call;
    *call.mutable_read() = request;
    links_.To(address, cluster_uuid_)
        ->Call(std::move(call), deadline,
               [done = std::move(done)](absl::StatusOr<CallLink::Answer> answer) mutable {
                 if (!answer.ok()) return std::move(done)(answer.status());
                 const v1::ReadResponse& read = answer->header.read();
                 std::move(done)(
                     ReadReply{read.committed_length(), read.crc32c(), std::move(answer->payload)});
               });
  }

  void AskLength(const std::string& address, ChunkHandle handle, Epoch epoch, Duration deadline,
                 LengthDone done) override {
    Peer& peer = To(address);
    std::vector<Asked> question;
    {
      absl::MutexLock lock(&peer.mutex);
      peer.waiting.push_back({handle, epoch, deadline, std::move(done)});
      question = NextQuestion(peer);
    }
    if (!question.empty()) Send(peer, std::move(question));
  }

  void Stop() override { links_.Stop(); }

 private:
  struct Asked {
    ChunkHandle handle;
    Epoch epoch;
    Duration deadline;
    LengthDone done;
  };
  struct Peer {
    explicit Peer(std::shared_ptr<CallLink> to) : link(std::move(to)) {}
    const std::shared_ptr<CallLink> link;
    absl::Mutex mutex;
    std::vector<Asked> waiting ABSL_GUARDED_BY(mutex);
    int under_way ABSL_GUARDED_BY(mutex) = 0;
  };

  Peer& To(const std::string& address) {
    absl::MutexLock lock(&mutex_);
    std::unique_ptr<Peer>& peer = peers_[address];
    if (peer == nullptr) peer = std::make_unique<Peer>(links_.To(address, cluster_uuid_));
    return *peer;
  }

  // Everything that waits, as one question, if one more may be under way.
  std::vector<Asked> NextQuestion(Peer& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(peer.mutex) {
    if (peer.waiting.empty() || peer.under_way >= kQuestionsUnderWay) return {};
    ++peer.under_way;
    const auto end = peer.waiting.begin() +
                     static_cast<ptrdiff_t>(std::min(peer.waiting.size(), kQuestionItems));
    std::vector<Asked> question(std::make_move_iterator(peer.waiting.begin()),
                                std::make_move_iterator(end));
    peer.waiting.erase(peer.waiting.begin(), end);
    return question;
  }

  void Send(Peer& peer, std::vector<Asked> question) {
    v1::DataCall call;
    Duration deadline = Duration::zero();
    for (const Asked& asked : question) {
      v1::TailLengthsRequest::Item& item = *call.mutable_tail_lengths()->add_items();
      item.set_handle(asked.handle.value());
      item.set_epoch(asked.epoch.value());
      deadline = std::max(deadline, asked.deadline);
    }
    peer.link->Call(std::move(call), deadline,
                    [this, &peer, question = std::move(question)](
                        absl::StatusOr<CallLink::Answer> answer) mutable {
                      OnAnswer(peer, std::move(question), answer);
                    });
  }

  void OnAnswer(Peer& peer, std::vector<Asked> question,
                const absl::StatusOr<CallLink::Answer>& answer) {
    std::vector<Asked> next;
    {
      absl::MutexLock lock(&peer.mutex);
      --peer.under_way;
      next = NextQuestion(peer);
    }
    if (!next.empty()) Send(peer, std::move(next));
    for (size_t i = 0; i < question.size(); ++i)
      std::move(question[i].done)(Length(peer, answer, static_cast<int>(i)));
  }

  static absl::StatusOr<TailLength> Length(const Peer& peer,
                                           const absl::StatusOr<CallLink::Answer>& answer, int i) {
    if (!answer.ok()) return answer.status();
    const auto& items = answer->header.tail_lengths().items();
    if (i >= items.size())
      return MakeError(v1::INVALID,
                       StrCat("chunkserver ", peer.link->address(), ": an answer is missing"));
    if (items[i].has_error()) return FromProto(items[i].error());
    return TailLength{items[i].length(), items[i].mtime_ns(), items[i].sealed()};
  }

  const std::string cluster_uuid_;
  CallLinks links_;
  absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);  // never shrinks
};

}  // namespace

std::unique_ptr<ChunkClient> ChunkClient::Create(std::string cluster_uuid, IoThreads& threads,
                                                 Executor& timers, const Clock& clock) {
  return std::make_unique<LinkChunkClient>(std::move(cluster_uuid), threads, timers, clock);
}

}  // namespace appendfs
