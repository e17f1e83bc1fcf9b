#include "common/link/io_threads.h"

#include <pthread.h>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

namespace appendfs {

struct IoThreads::Loop {
  asio::io_context context{1};  // one thread runs it
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread;
};

IoThreads::IoThreads(const std::string& name, int threads) {
  for (int i = 0; i < threads; ++i) {
    Loop& loop = *loops_.emplace_back(std::make_unique<Loop>());
    loop.thread = std::thread([&loop, name] {
      pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
      loop.context.run();
    });
  }
}

IoThreads::~IoThreads() { Stop(); }

asio::io_context& IoThreads::Pick() {
  return loops_[next_.fetch_add(1, std::memory_order_relaxed) % loops_.size()]->context;
}

void IoThreads::Add(std::weak_ptr<User> user) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopped_) {
      if (users_.size() >= prune_at_) {
        std::erase_if(users_, [](const auto& known) { return known.expired(); });
        prune_at_ = 64 + 2 * users_.size();
      }
      users_.push_back(std::move(user));
      return;
    }
  }
  if (auto late = user.lock()) late->Stop();
}

void IoThreads::Stop() {
  std::vector<std::weak_ptr<User>> users;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    users.swap(users_);
  }
  for (const auto& known : users)
    if (auto user = known.lock()) user->Stop();
  for (auto& loop : loops_) loop->work.reset();  // ends when nothing is left to do
  for (auto& loop : loops_)
    if (loop->thread.joinable()) loop->thread.join();
}

}  // namespace appendfs
