#include "fuse/current_call.h"

#include <utility>

namespace appendfs::fuse {
namespace {

thread_local const std::shared_ptr<Call>* of_this_thread = nullptr;

}  // namespace

Call::~Call() { calls->End(*this); }

std::shared_ptr<Call> Calls::Begin(CallKind kind, InodeId inode, pid_t caller) {
  stats_.Begin(kind);
  const Duration now = Now();
  absl::MutexLock lock(&mutex_);
  auto call = std::make_shared<Call>(shared_from_this(), next_++, kind, inode, caller, now);
  under_way_[call->id] = call;
  return call;
}

void Calls::End(const Call& call) {
  stats_.End(call.kind, Now() - call.begun);
  absl::MutexLock lock(&mutex_);
  under_way_.erase(call.id);
}

std::shared_ptr<Call> Calls::Find(uint64_t id) const {
  absl::MutexLock lock(&mutex_);
  auto found = under_way_.find(id);
  return found == under_way_.end() ? nullptr : found->second.lock();
}

std::vector<std::shared_ptr<Call>> Calls::UnderWay() const {
  std::vector<std::shared_ptr<Call>> calls;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, weak] : under_way_)
    if (std::shared_ptr<Call> call = weak.lock()) calls.push_back(std::move(call));
  return calls;
}

size_t Calls::Interrupt(const absl::Status& why, Which which) {
  size_t count = 0;
  for (const std::shared_ptr<Call>& call : UnderWay()) {
    if (which == Which::kOnThread && !call->on_thread) continue;
    call->interruption.Fire(why);
    ++count;
  }
  return count;
}

CallScope::CallScope(std::shared_ptr<Call> call)
    : call_(std::move(call)), interruption_(&call_->interruption) {
  of_this_thread = &call_;
}

CallScope::~CallScope() {
  call_->on_thread = false;
  of_this_thread = nullptr;
}

std::shared_ptr<Call> CallScope::Current() {
  return of_this_thread == nullptr ? nullptr : *of_this_thread;
}

}  // namespace appendfs::fuse
