#include "master/chunks/command_sender.h"

#include <algorithm>

#include "common/str_cat.h"

namespace appendfs {
namespace {

struct LaneOptions {
  size_t items_per_call;
  size_t calls_at_once;  // per server
  Duration timeout;      // of a call
};

constexpr LaneOptions kCreate{256, 2, std::chrono::seconds(2)};
constexpr LaneOptions kFence{512, 2, std::chrono::seconds(2)};
// May copy whole chunks; short ones must not wait for them for long.
constexpr LaneOptions kConform{16, 8, std::chrono::seconds(30)};
constexpr LaneOptions kOpen{512, 2, std::chrono::seconds(2)};
constexpr LaneOptions kDelete{256, 1, std::chrono::seconds(10)};

void AddItem(v1::DeleteChunksRequest& request, uint64_t handle) { request.add_handles(handle); }
template <class Request, class Item>
void AddItem(Request& request, Item item) {
  *request.add_items() = std::move(item);
}

}  // namespace

template <class Request, class Response, class Item, class Answer>
class CommandSender::Lane {
 public:
  Lane(ServerClient& client, std::string cluster_uuid, uint64_t incarnation,
       const LaneOptions& options)
      : client_(client),
        cluster_uuid_(std::move(cluster_uuid)),
        incarnation_(incarnation),
        options_(options) {}

  void Send(const CommandTarget& target, Item item, Done<Answer> done) {
    {
      absl::MutexLock lock(&mutex_);
      Queue& queue = queues_[target.server];
      if (target.registration >= queue.target.registration) queue.target = target;
      queue.waiting.push_back({std::move(item), std::move(done)});
    }
    Pump(target.server);
  }

  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }

  void Restarted(ServerId server) {
    std::vector<Done<Answer>> lost;
    {
      absl::MutexLock lock(&mutex_);
      for (const std::shared_ptr<Call>& call : queues_[server].running)
        for (Done<Answer>& done : call->dones) lost.push_back(std::move(done));
      queues_[server].running.clear();
      if (stopped_) return;
    }
    for (Done<Answer>& done : lost)
      std::move(done)(MakeError(v1::UNREACHABLE, StrCat("server ", server, " has restarted")));
    Pump(server);
  }

 private:
  struct Waiting {
    Item item;
    Done<Answer> done;
  };
  struct Call {
    std::vector<Done<Answer>> dones;
  };
  struct Queue {
    CommandTarget target;
    std::deque<Waiting> waiting;
    std::vector<std::shared_ptr<Call>> running;
  };

  // Sends what may be sent now.
  void Pump(ServerId server) {
    Request request;
    std::string address;
    auto call = std::make_shared<Call>();
    {
      absl::MutexLock lock(&mutex_);
      Queue& queue = queues_[server];
      if (stopped_ || queue.waiting.empty() || queue.running.size() >= options_.calls_at_once)
        return;
      queue.running.push_back(call);
      v1::CommandOrigin& origin = *request.mutable_origin();
      origin.set_cluster_uuid(cluster_uuid_);
      origin.set_incarnation(incarnation_);
      origin.set_server_id(server.value());
      origin.set_registration(queue.target.registration);
      address = queue.target.address;
      size_t count = std::min(queue.waiting.size(), options_.items_per_call);
      for (size_t i = 0; i < count; ++i) {
        AddItem(request, std::move(queue.waiting.front().item));
        call->dones.push_back(std::move(queue.waiting.front().done));
        queue.waiting.pop_front();
      }
    }
    client_.Call(address, std::move(request), options_.timeout,
                 [this, server, call = std::move(call)](absl::StatusOr<Response> response) {
                   {
                     absl::MutexLock lock(&mutex_);
                     if (std::erase(queues_[server].running, call) == 0) return;  // Restarted
                   }
                   Pump(server);
                   Distribute(std::move(response), call->dones);
                 });
  }

  static void Distribute(absl::StatusOr<Response> response, std::vector<Done<Answer>>& dones) {
    bool fits = response.ok() && static_cast<size_t>(response->items_size()) == dones.size();
    absl::Status failure =
        !response.ok()
            ? response.status()
            : MakeError(v1::INPUT_OUTPUT, StrCat("chunkserver answered ", response->items_size(),
                                                 " of ", dones.size(), " commands"));
    for (size_t i = 0; i < dones.size(); ++i) {
      if (!fits) {
        std::move(dones[i])(failure);
        continue;
      }
      Answer& answer = *response->mutable_items(static_cast<int>(i));
      if (answer.has_error()) {
        std::move(dones[i])(FromProto(answer.error()));
      } else {
        std::move(dones[i])(std::move(answer));
      }
    }
  }

  ServerClient& client_;
  const std::string cluster_uuid_;
  const uint64_t incarnation_;
  const LaneOptions options_;

  absl::Mutex mutex_;
  absl::flat_hash_map<ServerId, Queue> queues_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

CommandSender::CommandSender(ServerClient& client, std::string cluster_uuid, uint64_t incarnation)
    : create_(std::make_unique<CreateLane>(client, cluster_uuid, incarnation, kCreate)),
      fence_(std::make_unique<FenceLane>(client, cluster_uuid, incarnation, kFence)),
      conform_(std::make_unique<ConformLane>(client, cluster_uuid, incarnation, kConform)),
      open_(std::make_unique<OpenLane>(client, cluster_uuid, incarnation, kOpen)),
      delete_(std::make_unique<DeleteLane>(client, cluster_uuid, incarnation, kDelete)) {}

CommandSender::~CommandSender() = default;

void CommandSender::Stop() {
  create_->Stop();
  fence_->Stop();
  conform_->Stop();
  open_->Stop();
  delete_->Stop();
}

void CommandSender::Restarted(ServerId server) {
  create_->Restarted(server);
  fence_->Restarted(server);
  conform_->Restarted(server);
  open_->Restarted(server);
  delete_->Restarted(server);
}

void CommandSender::Create(const CommandTarget& target, v1::CreateChunksRequest::Item item,
                           Done<v1::CreateChunksResponse::Item> done) {
  create_->Send(target, std::move(item), std::move(done));
}
void CommandSender::Fence(const CommandTarget& target, v1::FenceRequest::Item item,
                          Done<v1::FenceResponse::Item> done) {
  fence_->Send(target, std::move(item), std::move(done));
}
void CommandSender::Conform(const CommandTarget& target, v1::ConformRequest::Item item,
                            Done<v1::ConformResponse::Item> done) {
  conform_->Send(target, std::move(item), std::move(done));
}
void CommandSender::Open(const CommandTarget& target, v1::OpenChunksRequest::Item item,
                         Done<v1::OpenChunksResponse::Item> done) {
  open_->Send(target, std::move(item), std::move(done));
}
void CommandSender::Delete(const CommandTarget& target, ChunkHandle handle,
                           Done<v1::DeleteChunksResponse::Item> done) {
  delete_->Send(target, handle.value(), std::move(done));
}

}  // namespace appendfs
