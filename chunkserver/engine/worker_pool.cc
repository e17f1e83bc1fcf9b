#include "chunkserver/engine/worker_pool.h"

#include <pthread.h>

#include <utility>

namespace appendfs {

WorkerPool::WorkerPool(std::string thread_name, int threads) {
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this, name = thread_name.substr(0, 15)] { Run(name); });
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Post(absl::AnyInvocable<void() &&> work) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      work_.push_back(std::move(work));
      return;
    }
  }
  std::move(work)();
}

void WorkerPool::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Run(const std::string& name) {
  pthread_setname_np(pthread_self(), name.c_str());
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(absl::Condition(this, &WorkerPool::Wakeful));
    if (work_.empty()) return;
    auto work = std::move(work_.front());
    work_.pop_front();
    mutex_.Unlock();
    std::move(work)();
    work = nullptr;
    mutex_.Lock();
  }
}

}  // namespace appendfs
