#include "tests/chunkserver/core/sim_server.h"

#include <utility>

#include "common/str_cat.h"

namespace appendfs::sim {

// The cores of one chunk at one server.
class Cluster::Server::Slot final : public Replica::Output, public Sequencer::Output {
 public:
  Slot(Server& server, ChunkHandle handle, const Disk& disk)
      : server_(server),
        handle_(handle),
        replica_({handle, disk.promised, kCapacity, disk.length(), 0}, Replica::Options(), *this) {}

  void BecomePrimary(const Tail& tail) {
    sequencer_ =
        std::make_unique<Sequencer>(Sequencer::Setup{handle_, kEpoch, tail.base, kCapacity,
                                                     server_.id_, tail.members, 0, 0, tail.memory},
                                    Sequencer::Options(), *this);
  }
  Replica& replica() { return replica_; }
  Sequencer* sequencer() { return sequencer_.get(); }
  void SetPrimary(ServerId primary) { primary_ = primary; }
  void Drain() {
    while (!own_votes_.empty()) {
      std::vector<Vote> votes = std::exchange(own_votes_, {});
      for (const Vote& vote : votes)
        if (sequencer_) sequencer_->OnVote(server_.id_, vote, server_.cluster_.now_);
    }
  }
  void Fence() {
    if (!replica_.Promise(kFence).ok()) return;
    if (sequencer_) sequencer_->Stop(MakeError(v1::STALE_EPOCH, "fenced"));
    sequencer_.reset();
  }

 private:
  Cluster& cluster() { return server_.cluster_; }
  template <class Deliver>
  void ToServer(ServerId to, Deliver deliver) {
    Server* peer = cluster().servers_[to.value() - 1].get();
    cluster().Send([peer, deliver] {
      if (peer->up()) deliver(*peer);
    });
  }

  void Store(const Ready& batch) override { server_.queue_.push_back(batch); }
  void ShowCommitted(uint64_t length) override { server_.shown_[handle_] = length; }
  void CastVote(const Vote& vote) override {
    if (primary_ == server_.id_) return own_votes_.push_back(vote);
    ToServer(primary_, [from = server_.id_, vote](Server& peer) { peer.OnVote(from, vote); });
  }
  void SendReady(ServerId to, const Ready& ready, When) override {
    if (to == server_.id_) return replica_.OnReady(ready);
    ToServer(to, [from = server_.id_, ready](Server& peer) { peer.OnReady(from, ready); });
  }
  void SendCommit(ServerId to, const Commit& commit) override {
    if (to == server_.id_) return replica_.OnCommit(commit);
    ToServer(to, [commit](Server& peer) { peer.OnCommit(commit); });
  }
  void SendConfirm(ServerId to, const Confirm& confirm) override {
    ToServer(to, [from = server_.id_, confirm](Server& peer) { peer.OnConfirm(from, confirm); });
  }
  void AnswerClient(StreamId to, const ClientOutcome& outcome) override {
    ClientId client(to.value());
    if (outcome.status.ok()) cluster().CheckAcknowledged(client, outcome);
    cluster().Send([&cluster = cluster(), client, outcome] { cluster.OnOutcome(client, outcome); });
  }
  void Release(StreamId, uint64_t) override {}
  void AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) override {
    cluster().OnFresh(token, handle_, answer);
  }
  void Report(const ChunkEvent& event) override {
    if (handle_ == cluster().tail_.handle && cluster().Chance() < 0.3) cluster().BeginRecovery();
  }

  Server& server_;
  const ChunkHandle handle_;
  ServerId primary_;
  Replica replica_;
  std::unique_ptr<Sequencer> sequencer_;
  std::vector<Vote> own_votes_;
};

Cluster::Server::Server(Cluster& cluster, ServerId id) : cluster_(cluster), id_(id) {}

Cluster::Server::~Server() = default;

void Cluster::Server::Create(const Tail& tail, bool primary) {
  Disk& disk = disks_[tail.handle];
  disk.memory = tail.memory;
  auto slot = std::make_unique<Slot>(*this, tail.handle, disk);
  slot->SetPrimary(tail.primary);
  if (primary) slot->BecomePrimary(tail);
  slots_[tail.handle] = std::move(slot);
}

void Cluster::Server::Crash() {
  up_ = false;
  queue_.clear();
  slots_.clear();
}

void Cluster::Server::Restart() {
  up_ = true;
  for (const auto& [handle, disk] : disks_) {
    auto slot = std::make_unique<Slot>(*this, handle, disk);
    slot->SetPrimary(handle == cluster_.tail_.handle ? cluster_.tail_.primary : ServerId(1));
    slots_[handle] = std::move(slot);
  }
}

// One more write is durable; sometimes a whole group.
void Cluster::Server::DiskStep() {
  for (uint64_t group = 1 + cluster_.Pick(3); group > 0 && !queue_.empty(); --group) {
    Write write = std::move(queue_.front());
    queue_.pop_front();
    if (auto* fence = std::get_if<FenceRecord>(&write)) {
      Disk& disk = disks_[fence->handle];
      disk.promised = kFence;
      cluster_.Send([this, handle = fence->handle, batches = disk.batches, memory = disk.memory] {
        cluster_.OnFenced(id_, handle, batches, memory);
      });
      continue;
    }
    const Ready& batch = std::get<Ready>(write);
    Disk& disk = disks_[batch.handle];
    if (batch.offset != disk.length() || batch.epoch < disk.promised)
      cluster_.Violate(StrCat("server ", id_, " stores chunk=", batch.handle,
                              " offset=", batch.offset, " at ", disk.length()));
    disk.batches.push_back(
        {batch.offset, std::string(batch.payload.view()), batch.client, batch.sequence});
    disk.memory.Add(batch.client, {batch.sequence, cluster_.bases_[batch.handle] + batch.offset,
                                   static_cast<uint32_t>(batch.payload.size())});
    Slot& slot = *slots_[batch.handle];
    slot.replica().OnDurable(disk.length());
    slot.Drain();
  }
}

void Cluster::Server::Tick() {
  for (auto& [handle, slot] : slots_)
    if (slot->sequencer()) slot->sequencer()->Tick(cluster_.now_);
}

void Cluster::Server::OnBatch(const ClientBatch& batch) {
  auto slot = slots_.find(batch.handle);
  if (slot == slots_.end() || !slot->second->sequencer()) {
    ClientOutcome refusal{batch.handle, batch.epoch, batch.sequence};
    refusal.status = MakeError(v1::NOT_PRIMARY, "not primary");
    cluster_.Send([this, client = batch.client, refusal] { cluster_.OnOutcome(client, refusal); });
    return;
  }
  slot->second->sequencer()->Append(batch, cluster_.now_.count(), cluster_.now_);
  slot->second->Drain();
}

void Cluster::Server::OnReady(ServerId from, const Ready& ready) {
  auto slot = slots_.find(ready.handle);
  if (slot == slots_.end()) return;
  slot->second->SetPrimary(from);
  slot->second->replica().OnReady(ready);
}

void Cluster::Server::OnCommit(const Commit& commit) {
  auto slot = slots_.find(commit.handle);
  if (slot != slots_.end()) slot->second->replica().OnCommit(commit);
}

void Cluster::Server::OnConfirm(ServerId from, const Confirm& confirm) {
  auto slot = slots_.find(confirm.handle);
  if (slot == slots_.end()) return;
  ConfirmAnswer answer = slot->second->replica().OnConfirm(confirm);
  Server* peer = cluster_.servers_[from.value() - 1].get();
  cluster_.Send([peer, me = id_, answer] {
    if (peer->up()) peer->OnConfirmAnswer(me, answer);
  });
}

void Cluster::Server::OnVote(ServerId from, const Vote& vote) {
  auto slot = slots_.find(vote.handle);
  if (slot != slots_.end() && slot->second->sequencer())
    slot->second->sequencer()->OnVote(from, vote, cluster_.now_);
}

void Cluster::Server::OnConfirmAnswer(ServerId from, const ConfirmAnswer& answer) {
  auto slot = slots_.find(answer.handle);
  if (slot != slots_.end() && slot->second->sequencer())
    slot->second->sequencer()->OnConfirm(from, answer);
}

void Cluster::Server::OnPeerBroken(ServerId peer) {
  for (auto& [handle, slot] : slots_)
    if (slot->sequencer()) slot->sequencer()->OnPeerBroken(peer);
}

void Cluster::Server::OnFence(ChunkHandle handle) {
  auto slot = slots_.find(handle);
  if (slot == slots_.end()) return;
  slot->second->Fence();
  queue_.push_back(FenceRecord{handle});
}

void Cluster::Server::AskFresh(ChunkHandle handle, uint64_t token) {
  auto slot = slots_.find(handle);
  if (slot == slots_.end() || !slot->second->sequencer()) return;
  slot->second->sequencer()->AskFresh(token, cluster_.Chance() < 0.3, cluster_.now_);
}

}  // namespace appendfs::sim
