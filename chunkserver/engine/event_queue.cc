#include "chunkserver/engine/event_queue.h"

#include <algorithm>

#include "common/wait.h"

namespace appendfs {

void EventQueue::Post(const ChunkEvent& event) {
  absl::MutexLock lock(&mutex_);
  if (std::find(events_.begin(), events_.end(), event) == events_.end()) events_.push_back(event);
}

std::vector<ChunkEvent> EventQueue::Wait(Duration patience, size_t limit) {
  absl::MutexLock lock(&mutex_);
  Await(mutex_, absl::Condition(this, &EventQueue::Wakeful), patience);
  return {events_.begin(), events_.begin() + std::min(limit, events_.size())};
}

void EventQueue::Pause(Duration time) {
  absl::MutexLock lock(&mutex_);
  Await(mutex_, absl::Condition(&closed_), time);
}

void EventQueue::Acknowledge(size_t count) {
  absl::MutexLock lock(&mutex_);
  events_.erase(events_.begin(), events_.begin() + std::min(count, events_.size()));
}

void EventQueue::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

bool EventQueue::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

}  // namespace appendfs
