#include "client/chunk_client.h"

#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/call_count.h"
#include "common/rpc/channel.h"
#include "common/rpc/payload.h"
#include "common/rpc/status.h"
#include "common/str_cat.h"
#include "proto/chunkserver.grpc.pb.h"

namespace appendfs {
namespace {

constexpr char kReadMethod[] = "/appendfs.v1.ChunkData/Read";
constexpr int kQuestionsUnderWay = 2;  // per server
constexpr size_t kQuestionItems = 4096;
constexpr Duration kShortest = std::chrono::milliseconds(1);

class GrpcChunkClient final : public ChunkClient {
 public:
  explicit GrpcChunkClient(const Clock& clock) : clock_(clock) {}
  ~GrpcChunkClient() override { calls_.AwaitNone(); }

  void Read(const std::string& address, const v1::ReadRequest& request, Duration deadline,
            ReadDone done) override {
    struct State {
      grpc::ClientContext context;
      grpc::ByteBuffer request, response;
      ReadDone done;
    };
    Peer& peer = To(address);
    auto* state = new State;
    state->request = SerializeWithPayload(request, Buffer());
    state->done = std::move(done);
    SetDeadline(state->context, Left(deadline));
    calls_.Add();
    peer.raw.UnaryCall(&state->context, kReadMethod, grpc::StubOptions(), &state->request,
                       &state->response, [this, &peer, state](grpc::Status status) {
                         std::move(state->done)(ToReply(peer, status, state->response));
                         delete state;
                         calls_.Remove();
                       });
  }

  void AskLength(const std::string& address, ChunkHandle handle, Epoch epoch, Duration deadline,
                 LengthDone done) override {
    Peer& peer = To(address);
    std::unique_ptr<Question> question;
    {
      absl::MutexLock lock(&peer.mutex);
      peer.waiting.push_back({handle, epoch, deadline, std::move(done)});
      question = NextQuestion(peer);
    }
    if (question != nullptr) Send(peer, std::move(question));
  }

 private:
  struct Asked {
    ChunkHandle handle;
    Epoch epoch;
    Duration deadline;
    LengthDone done;
  };
  struct Question {
    grpc::ClientContext context;
    v1::TailLengthsRequest request;
    v1::TailLengthsResponse response;
    std::vector<Asked> asked;
  };
  struct Peer {
    explicit Peer(const std::string& server_address)
        : address("chunkserver " + server_address),
          channel(MakeChannel(server_address)),
          raw(channel),
          stub(v1::ChunkData::NewStub(channel)) {}
    const std::string address;
    const std::shared_ptr<grpc::Channel> channel;
    grpc::GenericStub raw;
    const std::unique_ptr<v1::ChunkData::Stub> stub;

    absl::Mutex mutex;
    std::vector<Asked> waiting ABSL_GUARDED_BY(mutex);
    int under_way ABSL_GUARDED_BY(mutex) = 0;
  };

  Peer& To(const std::string& address) {
    absl::MutexLock lock(&mutex_);
    std::unique_ptr<Peer>& peer = peers_[address];
    if (peer == nullptr) peer = std::make_unique<Peer>(address);
    return *peer;
  }

  Duration Left(Duration deadline) const {
    return std::max<Duration>(deadline - clock_.Monotonic(), kShortest);
  }

  static absl::StatusOr<ReadReply> ToReply(const Peer& peer, const grpc::Status& status,
                                           const grpc::ByteBuffer& wire) {
    if (!status.ok()) return FromGrpc(status, peer.address);
    v1::ReadResponse response;
    APPENDFS_ASSIGN_OR_RETURN(Buffer payload, ParseWithPayload(wire, response));
    return ReadReply{response.committed_length(), response.crc32c(), std::move(payload)};
  }

  // Everything that waits, as one question, if one more may be under way.
  std::unique_ptr<Question> NextQuestion(Peer& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(peer.mutex) {
    if (peer.waiting.empty() || peer.under_way >= kQuestionsUnderWay) return nullptr;
    ++peer.under_way;
    auto question = std::make_unique<Question>();
    size_t count = std::min(peer.waiting.size(), kQuestionItems);
    auto end = peer.waiting.begin() + count;
    question->asked.assign(std::make_move_iterator(peer.waiting.begin()),
                           std::make_move_iterator(end));
    peer.waiting.erase(peer.waiting.begin(), end);
    return question;
  }

  void Send(Peer& peer, std::unique_ptr<Question> owned) {
    Question* question = owned.release();
    Duration deadline = Duration::zero();
    for (const Asked& asked : question->asked) {
      v1::TailLengthsRequest::Item& item = *question->request.add_items();
      item.set_handle(asked.handle.value());
      item.set_epoch(asked.epoch.value());
      deadline = std::max(deadline, asked.deadline);
    }
    SetDeadline(question->context, Left(deadline));
    calls_.Add();
    peer.stub->async()->TailLengths(&question->context, &question->request, &question->response,
                                    [this, &peer, question](grpc::Status status) {
                                      Answer(peer, std::unique_ptr<Question>(question), status);
                                      calls_.Remove();
                                    });
  }

  void Answer(Peer& peer, std::unique_ptr<Question> question, const grpc::Status& status) {
    std::unique_ptr<Question> next;
    {
      absl::MutexLock lock(&peer.mutex);
      --peer.under_way;
      next = NextQuestion(peer);
    }
    if (next != nullptr) Send(peer, std::move(next));
    const auto& items = question->response.items();
    for (size_t i = 0; i < question->asked.size(); ++i) {
      LengthDone& done = question->asked[i].done;
      if (!status.ok()) {
        std::move(done)(FromGrpc(status, peer.address));
      } else if (static_cast<int>(i) >= items.size()) {
        std::move(done)(MakeError(v1::INVALID, StrCat(peer.address, ": an answer is missing")));
      } else if (items[i].has_error()) {
        std::move(done)(FromProto(items[i].error()));
      } else {
        std::move(done)(TailLength{items[i].length(), items[i].mtime_ns(), items[i].sealed()});
      }
    }
  }

  const Clock& clock_;
  absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);  // never shrinks
  CallCount calls_;
};

}  // namespace

std::unique_ptr<ChunkClient> ChunkClient::Create(const Clock& clock) {
  return std::make_unique<GrpcChunkClient>(clock);
}

}  // namespace appendfs
