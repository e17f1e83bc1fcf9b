#include "fuse/lending.h"

#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <tuple>

#include "absl/time/clock.h"

namespace appendfs::fuse {
namespace {

// Longer than anything is lent for.
constexpr absl::Duration kTurn = absl::Seconds(2);
// A new inode, of which the kernel was told and has yet to read.
constexpr absl::Duration kReadsSoon = absl::Seconds(1), kLookAgain = absl::Microseconds(100);

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

Lending::~Lending() {
  client_.SetBorrower(nullptr);
  Stop();
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  if (changes_thread_.joinable()) changes_thread_.join();
  if (names_thread_.joinable()) names_thread_.join();
}

void Lending::Start(Kernel kernel) {
  if (!client_.Lends()) return;
  kernel_ = std::move(kernel);
  stopped_ = false;
  changes_thread_ = std::thread([this] { RunChanges(); });
  names_thread_ = std::thread([this] { RunNames(); });
  client_.SetBorrower(this);
}

void Lending::Stop() { stopped_ = true; }

double Lending::Loan::Attributes(uint64_t ticket, InodeId inode) {
  if (lending_.stopped_) return 0;
  const auto time = lending_.client_.LendStatus(ticket, inode);
  if (time.count() <= 0) return 0;
  lending_.Note([&](Lent& lent) { lent.attributes.insert(inode); });
  return Seconds(time);
}

double Lending::Loan::Name(uint64_t ticket, InodeId parent, std::string_view name, InodeId inode) {
  if (lending_.stopped_ || !lending_.names_too_) return 0;
  const auto time = lending_.client_.LendName(ticket, parent, name, inode);
  if (time.count() <= 0) return 0;
  lending_.Note([&](Lent& lent) { lent.names[parent].emplace(name); });
  return Seconds(time);
}

void Lending::Note(const std::function<void(Lent&)>& note) {
  absl::MutexLock lock(&lent_mutex_);
  const absl::Time now = absl::Now();
  if (now - turned_ > kTurn) {
    lent_before_ = std::exchange(lent_, {});
    turned_ = now;
  }
  note(lent_);
}

std::pair<std::vector<InodeId>, Lending::Names> Lending::TakeLent(const Change& change) {
  std::pair<std::vector<InodeId>, Names> taken;
  auto& [attributes, names] = taken;
  absl::MutexLock lock(&lent_mutex_);
  for (Lent* lent : {&lent_, &lent_before_}) {
    if (change.everything) {
      attributes.insert(attributes.end(), lent->attributes.begin(), lent->attributes.end());
      for (const auto& [parent, of] : lent->names)
        for (const std::string& name : of) names.emplace_back(parent, name);
      *lent = {};
    }
    for (InodeId inode : change.inodes) {
      if (lent->attributes.erase(inode) > 0) attributes.push_back(inode);
      auto of = lent->names.find(inode);
      if (of == lent->names.end()) continue;
      for (const std::string& name : of->second) names.emplace_back(inode, name);
      lent->names.erase(of);
    }
  }
  return taken;
}

void Lending::OnChanged(const std::vector<InodeId>& inodes, Done taken_back) {
  absl::MutexLock lock(&mutex_);
  changes_.push_back({inodes, false, std::move(taken_back)});
}

void Lending::OnLost() {
  absl::MutexLock lock(&mutex_);
  changes_.push_back({{}, true, [] {}});
}

void Lending::ForgetAttributes(InodeId inode) {
  const absl::Time bound = absl::Now() + kReadsSoon;
  while (!stopped_ && kernel_.forget_attributes(inodes_.ToNode(inode)) == -ENOENT &&
         inodes_.Knows(inode) && absl::Now() < bound)
    absl::SleepFor(kLookAgain);
}

absl::Time Lending::NextBound() const {
  for (const Naming& naming : naming_)
    if (naming.done) return naming.bound;
  return absl::InfiniteFuture();
}

std::vector<Lending::Done> Lending::TakeOverdue() {
  std::vector<Done> overdue;
  const absl::Time now = absl::Now();
  for (Naming& naming : naming_) {
    if (naming.bound > now) break;
    if (own_changes_ == 0) {
      naming.bound = now + absl::FromChrono(kNamesBound);
      break;
    }
    if (naming.done) overdue.push_back(std::exchange(naming.done, nullptr));
  }
  return overdue;
}

void Lending::RunChanges() {
  pthread_setname_np(pthread_self(), "take-back");
  while (true) {
    Change change;
    std::vector<Done> overdue;
    bool some = false;
    {
      absl::MutexLock lock(&mutex_);
      auto called = [this]()
                        ABSL_NO_THREAD_SAFETY_ANALYSIS { return ending_ || !changes_.empty(); };
      mutex_.AwaitWithDeadline(absl::Condition(&called), NextBound());
      overdue = TakeOverdue();
      some = !changes_.empty();
      if (some) {
        change = std::move(changes_.front());
        changes_.pop_front();
      } else if (ending_) {
        for (Naming& naming : naming_)
          if (naming.done) overdue.push_back(std::exchange(naming.done, nullptr));
      }
      if (!some && ending_ && overdue.empty()) return;
    }
    for (Done& done : overdue) std::move(done)();
    if (!some) continue;
    std::vector<InodeId> attributes;
    Names names;
    {
      // What was lent before is with the kernel now; what is lent later is fresh.
      absl::WriterMutexLock gate(&gate_);
      std::tie(attributes, names) = TakeLent(change);
    }
    for (InodeId inode : attributes) ForgetAttributes(inode);
    {
      absl::MutexLock lock(&mutex_);
      if (!names.empty() || !naming_.empty()) {
        naming_.push_back({std::move(names), absl::Now() + absl::FromChrono(kNamesBound),
                           std::move(change.done)});
        continue;
      }
    }
    std::move(change.done)();
  }
}

void Lending::RunNames() {
  pthread_setname_np(pthread_self(), "take-back-names");
  while (true) {
    Names names;
    {
      absl::MutexLock lock(&mutex_);
      auto called = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ending_ || !naming_.empty(); };
      mutex_.Await(absl::Condition(&called));
      if (naming_.empty()) return;
      names = std::move(naming_.front().names);
    }
    for (const auto& [parent, name] : names)
      if (!stopped_) kernel_.forget_name(inodes_.ToNode(parent), name);
    Done done;
    {
      absl::MutexLock lock(&mutex_);
      done = std::exchange(naming_.front().done, nullptr);
      naming_.pop_front();
    }
    if (done) std::move(done)();
  }
}

}  // namespace appendfs::fuse
