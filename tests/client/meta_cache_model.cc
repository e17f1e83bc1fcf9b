#include "tests/client/meta_cache_model.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "common/str_cat.h"
#include "tests/client/meta_cache_model_parts.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

constexpr Duration kLease = milliseconds(1000), kBelief = milliseconds(900);
constexpr int kClients = 3, kNames = 3;
constexpr uint64_t kDirectories = 2;

class Model {
 public:
  Model(uint64_t seed, Broken broken) : random_(seed), broken_(broken) {
    for (Node& node : nodes_) Connect(node);
    for (uint64_t d = 1; d <= kDirectories; ++d) modes_[InodeId(d)];
  }

  // The first thing that is wrong; empty: nothing is. Everything under way is
  // let finish now and then.
  std::string Run(int rounds) {
    for (int round = 0; round < rounds && wrong_.empty(); ++round) {
      const uint64_t steps = 1 + random_() % 150;
      for (uint64_t i = 0; i < steps && wrong_.empty(); ++i) {
        Step(nodes_[random_() % kClients]);
        for (int n = 0; n < kClients; ++n)
          if (now_ < nodes_[n].believed_until) Check(n, /*settled=*/false);
      }
      if (wrong_.empty()) Settle();
    }
    return wrong_;
  }
  uint64_t kept() const { return kept_; }

 private:
  using Key = std::pair<InodeId, std::string>;

  void Settle() {
    for (int i = 0; i < 10'000 && !Settled(); ++i) {
      now_ += milliseconds(1);
      for (Node& node : nodes_)
        for (size_t l = 0; l < node.links.size(); ++l) {
          Serve(*node.links[l]);
          Deliver(node, l);
        }
      Log();
      Do(table_.Expire(now_));
      for (Node& node : nodes_) Return(node);
    }
    if (!Settled()) wrong_ = "something is never answered";
    for (int n = 0; n < kClients && wrong_.empty(); ++n) Check(n, /*settled=*/true);
  }

  void Step(Node& node) {
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2: return Ask(node);
      case 3:
      case 4:
      case 5: return Serve(*node.links[random_() % node.links.size()]);
      case 6:
      case 7:
      case 8: return Log();
      case 9:
      case 10:
      case 11: return Deliver(node, random_() % node.links.size());
      case 12:
      case 13: return Return(node);
      case 14:
        now_ += milliseconds(random_() % 100 == 0 ? 700 : random_() % 10);
        return Do(table_.Expire(now_));
      default:
        if (random_() % 30 == 0) return Break(node);
        if (random_() % 2 == 0) return GiveUp(node);
    }
  }

  // --- clients ---------------------------------------------------------------

  InodeId SomeDirectory() { return InodeId(1 + random_() % kDirectories); }
  std::string SomeName() { return std::string(1, static_cast<char>('a' + random_() % kNames)); }
  InodeId SomeInode() { return InodeId(1 + random_() % (last_inode_ + 1)); }

  void Connect(Node& node) {
    node.links.push_back(std::make_shared<Link>());
    node.link().watcher = table_.Join();
  }
  void Send(Node& node, Call call) {
    call.id = ++last_id_;
    call.sent = now_;
    node.pending[call.id] = call;
    node.link().to_master.push_back({call, 0});
  }
  void Ask(Node& node) {
    if (node.pending.size() > 4) return;
    Call call;
    call.kind = static_cast<Kind>(random_() % 8);
    call.mutation = ++last_mutation_;
    call.parent = SomeDirectory();
    call.inode = call.kind == Kind::kRename ? SomeDirectory() : SomeInode();
    call.name = SomeName();
    call.new_name = SomeName();
    call.ticket = node.cache.Draw();
    Send(node, call);
  }
  void Deliver(Node& node, size_t at) {
    Link& link = *node.links[at];
    if (link.to_client.empty()) return;
    ToClient said = std::move(link.to_client.front());
    link.to_client.pop_front();
    if (!link.connected) return;
    if (said.telling) {
      node.cache.OnOwnChange(said.telling->inodes);
      link.to_master.push_back({{}, said.telling->number});
      return;
    }
    auto pending = node.pending.find(said.answer.id);
    if (pending == node.pending.end() && broken_ != Broken::kAnswerToNobody) node.cache.OnLost();
    if (!said.answer.watched && broken_ != Broken::kRefused) node.cache.OnRefused();
    if (pending == node.pending.end()) return;
    if (said.answer.watched)
      node.believed_until = std::max(node.believed_until, pending->second.sent + kBelief);
    node.waiters.emplace_back(pending->second, std::move(said.answer));
    node.pending.erase(pending);
  }
  // A caller goes on.
  void Return(Node& node) {
    if (node.waiters.empty()) return;
    auto waiter = node.waiters.begin() + static_cast<long>(random_() % node.waiters.size());
    auto [call, answer] = std::move(*waiter);
    node.waiters.erase(waiter);
    if (broken_ == Broken::kOrder && answer.after.index() > 0)
      answer.after.set_index(++last_returned_);
    MetaCache& cache = node.cache;
    const auto ticket = broken_ == Broken::kTicket ? cache.Draw() : call.ticket;
    if (IsChange(call.kind) && answer.ok && answer.index > 0)
      for (History* changed : changed_by_[answer.index])
        changed->floor = std::max(changed->floor, answer.index);
    switch (call.kind) {
      case Kind::kLookup:
        if (answer.ok)
          cache.KeepName(ticket, call.parent, call.name, answer.entry);
        else
          cache.KeepAbsence(ticket, call.parent, call.name);
        break;
      case Kind::kStat:
        if (answer.ok) cache.KeepEntry(ticket, answer.entry);
        break;
      case Kind::kList: cache.KeepPage(ticket, call.parent, answer.page, /*whole=*/true); break;
      case Kind::kMake:
        if (answer.ok) cache.Made(ticket, call.parent, call.name, answer.entry, answer.after);
        break;
      case Kind::kRemove:
        if (answer.ok) cache.Removed(ticket, call.parent, call.name, answer.inode, answer.after);
        break;
      case Kind::kRename:
        if (answer.ok)
          cache.Renamed(ticket, call.parent, call.name, call.inode, call.new_name, answer.inode,
                        answer.replaced, false, answer.after);
        break;
      case Kind::kSetMode:
        if (answer.ok) cache.OnOwnChange({call.inode});
        break;
      case Kind::kOpenTail: break;
    }
  }
  // The caller's patience is over, or it asks again on the same link.
  void GiveUp(Node& node) {
    if (node.pending.empty()) return;
    Call call = node.pending.begin()->second;
    node.pending.erase(node.pending.begin());
    if (random_() % 4 == 0) {
      node.cache.OnRefused();
      return Send(node, call);
    }
    node.cache.OnLost();
  }
  void Break(Node& node) {
    node.link().connected = false;  // the master notices when it has read all
    node.believed_until = Duration::zero();
    if (broken_ != Broken::kLost) node.cache.OnLost();
    const auto ended = std::exchange(node.pending, {});
    Connect(node);
    for (const auto& [id, call] : ended)
      if (random_() % 2) {
        node.cache.OnRefused();
        Send(node, call);
      }
  }

  // --- the master ------------------------------------------------------------

  // The next step of what a link has said; reads take two.
  void Serve(Link& link) {
    if (link.reading) {
      auto [call, answer] = *std::exchange(link.reading, std::nullopt);
      Read(link, call, answer);
      link.to_client.push_back({std::nullopt, std::move(answer)});
      return;
    }
    if (link.to_master.empty()) {
      if (!link.connected) table_.Leave(link.watcher);
      return;
    }
    ToMaster said = std::move(link.to_master.front());
    link.to_master.pop_front();
    if (said.heard != 0) return Do(table_.Heard(link.watcher, said.heard, now_));
    const Call& call = said.call;
    Answer answer{.id = call.id, .watched = table_.Renew(link.watcher, now_)};
    if (IsChange(call.kind)) {
      proposed_.push_back({&link, call, answer});
      return;
    }
    if (answer.watched) Watch(link, call.kind == Kind::kStat ? call.inode : call.parent);
    link.reading.emplace(call, answer);
  }
  void Watch(Link& link, InodeId inode) {
    if (auto all = table_.Watch(link.watcher, inode)) link.to_client.push_back({*all, {}});
  }

  v1::Entry EntryOf(InodeId inode) {
    v1::Entry entry;
    entry.mutable_attributes()->set_inode(inode.value());
    entry.mutable_attributes()->set_mode(static_cast<uint32_t>(modes_[inode].now()));
    if (open_.contains(inode)) entry.mutable_tail()->set_state(v1::OPEN);
    return entry;
  }
  void Read(Link& link, const Call& call, Answer& answer) {
    if (call.kind == Kind::kStat) {
      answer.ok = modes_.contains(call.inode);
      if (answer.ok) answer.entry = EntryOf(call.inode);
    } else if (call.kind == Kind::kLookup) {
      const InodeId inode(names_[{call.parent, call.name}].now());
      answer.ok = inode != InodeId();
      if (!answer.ok) return;
      if (answer.watched) Watch(link, inode);
      answer.entry = EntryOf(inode);
    } else {
      for (int i = 0; i < kNames; ++i) {
        const std::string name(1, static_cast<char>('a' + i));
        const InodeId inode(names_[{call.parent, name}].now());
        if (!inode) continue;
        if (answer.watched) Watch(link, inode);
        v1::DirectoryEntry& listed = *answer.page.add_entries();
        listed.set_name(name);
        listed.set_inode(inode.value());
        *listed.mutable_entry() = EntryOf(inode);
      }
    }
  }

  // Commits what was proposed, or calls back for what is committed, in order.
  void Log() {
    if (!committed_.empty() && random_() % 2) {
      Proposal done = std::move(committed_.front());
      committed_.pop_front();
      return CallBack(std::move(done));
    }
    if (proposed_.empty()) return;
    Proposal proposal = std::move(proposed_.front());
    proposed_.pop_front();
    auto [result, first] = results_.try_emplace(proposal.call.mutation);
    if (first) result->second = Apply(proposal.call);
    const bool watched = proposal.answer.watched;
    proposal.answer = result->second;
    result->second.after.Clear();
    proposal.answer.id = proposal.call.id;
    proposal.answer.watched = watched;
    committed_.push_back(std::move(proposal));
  }
  struct Proposal {
    Link* link;
    Call call;
    Answer answer;
  };

  void CallBack(Proposal done) {
    std::vector<InodeId> inodes;
    const Call& call = done.call;
    if (done.answer.ok) switch (call.kind) {
        case Kind::kMake:
          if (done.answer.watched)
            Watch(*done.link, InodeId(done.answer.entry.attributes().inode()));
          inodes = {call.parent};
          break;
        case Kind::kRemove: inodes = {call.parent, done.answer.inode}; break;
        case Kind::kRename:
          inodes = {call.parent, call.inode, done.answer.inode, done.answer.replaced};
          break;
        default: inodes = {call.inode};
      }
    Link* link = done.link;
    ++held_up_;
    WatchTable::Begun begun = table_.Change(
        inodes, call.kind == Kind::kOpenTail ? 0 : link->watcher, now_,
        [this, link, kind = call.kind, inode = call.inode, answer = done.answer]() mutable {
          --held_up_;
          const bool opened = kind == Kind::kOpenTail && answer.ok;
          link->to_client.push_back({std::nullopt, std::move(answer)});
          // Whoever may append has: nobody may show the old length from here on.
          if (opened) Grow(inode);
        });
    for (WatchTable::Telling& telling : begun.tell)
      LinkOf(telling.watcher).to_client.push_back({telling, {}});
    Do(std::move(begun.done));
  }
  Link& LinkOf(WatchTable::Watcher watcher) {
    for (Node& node : nodes_)
      for (const auto& link : node.links)
        if (link->watcher == watcher) return *link;
    std::abort();
  }
  static void Do(std::vector<WatchTable::Done> done) {
    for (auto& each : done) std::move(each)();
  }

  void Set(History& history, uint64_t value) {
    history.values[index_] = value;
    changed_by_[index_].push_back(&history);
  }
  // A file that grows and is parked again: its attributes are others at once.
  void Grow(InodeId inode) {
    if (open_.erase(inode) == 0) return;
    ++index_;
    Set(modes_[inode], index_);
    modes_[inode].floor = index_;
  }
  Answer Apply(const Call& call) {
    ++index_;
    Answer answer;
    answer.index = index_;
    answer.after.set_index(index_);
    History& name = names_[{call.parent, call.name}];
    const InodeId inode(name.now());
    switch (call.kind) {
      case Kind::kMake:
        if (!(answer.ok = !inode)) break;
        Set(name, ++last_inode_ + kDirectories);
        Set(modes_[InodeId(name.now())], index_);
        Set(modes_[call.parent], index_);
        answer.entry = EntryOf(InodeId(name.now()));
        *answer.after.add_entries() = EntryOf(call.parent);
        break;
      case Kind::kRemove:
        if (!(answer.ok = bool(inode))) break;
        Set(name, 0);
        Set(modes_[inode], index_);
        Set(modes_[call.parent], index_);
        answer.inode = inode;
        *answer.after.add_entries() = EntryOf(call.parent);
        break;
      case Kind::kRename: {
        History& target = names_[{call.inode, call.new_name}];
        if (!(answer.ok = inode && &name != &target)) break;
        answer.inode = inode;
        answer.replaced = InodeId(target.now());
        Set(name, 0);
        Set(target, inode.value());
        for (InodeId changed : {inode, call.parent, call.inode}) {
          Set(modes_[changed], index_);
          *answer.after.add_entries() = EntryOf(changed);
        }
        if (answer.replaced) Set(modes_[answer.replaced], index_);
        break;
      }
      case Kind::kSetMode:
        if (!(answer.ok = modes_.contains(call.inode))) break;
        Set(modes_[call.inode], index_);
        break;
      default:
        if (!(answer.ok = call.inode.value() > kDirectories && modes_.contains(call.inode))) break;
        open_[call.inode] = true;
    }
    return answer;
  }

  // --- what is checked -------------------------------------------------------

  bool Settled() {
    bool settled = proposed_.empty() && committed_.empty() && held_up_ == 0;
    for (Node& node : nodes_) {
      settled = settled && node.waiters.empty() && node.pending.empty();
      for (const auto& link : node.links)
        settled = settled && link->to_master.empty() && link->to_client.empty() && !link->reading;
    }
    return settled;
  }
  void Check(int number, bool settled) {
    const MetaCache& cache = nodes_[number].cache;
    auto check = [&](const std::string& what, const History& history, uint64_t value) {
      ++kept_;
      if (settled ? history.now() == value : history.Allows(value)) return;
      wrong_ = StrCat("client ", number, " believes ", value, " of ", what, ", which is ",
                      history.now(), settled ? ", for good" : "");
    };
    for (auto& [key, history] : names_) {
      const auto entry = cache.FindName(key.first, key.second);
      if (!entry) continue;
      const uint64_t inode = entry->attributes().inode();
      check(StrCat("name ", key.second, " in ", key.first), history, inode);
    }
    for (auto& [inode, history] : modes_)
      if (const auto entry = cache.FindEntry(inode)) {
        if (entry->has_tail()) wrong_ = "a file that grows is kept";
        check(StrCat("the attributes of ", inode), history, entry->attributes().mode());
      }
  }

  std::mt19937_64 random_;
  const Broken broken_;
  std::string wrong_;
  uint64_t kept_ = 0;
  Duration now_ = milliseconds(10'000);
  WatchTable table_{kLease, Duration::zero()};
  Node nodes_[kClients];
  uint64_t last_id_ = 0, last_mutation_ = 0, last_inode_ = 0, index_ = 0;
  uint64_t last_returned_ = 0;
  std::map<Key, History> names_;
  std::map<InodeId, History> modes_;
  std::map<InodeId, bool> open_;
  std::map<uint64_t, std::vector<History*>> changed_by_;
  std::map<uint64_t, Answer> results_;  // by mutation
  std::deque<Proposal> proposed_, committed_;
  int held_up_ = 0;  // changes that are not answered before others have heard
};

}  // namespace

std::pair<uint64_t, std::string> FirstWrong(Broken broken, uint64_t seeds, uint64_t* kept) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Model model(seed, broken);
    std::string wrong = model.Run(20);
    if (kept != nullptr) *kept += model.kept();
    if (!wrong.empty()) return {seed, wrong};
  }
  return {0, ""};
}

}  // namespace appendfs
