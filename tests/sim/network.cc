#include "tests/sim/network.h"

#include <algorithm>

namespace appendfs::sim {

Duration Network::Delay(const Host& from, const Host& to, bool again) {
  if (auto way = ways_.find({&from, &to}); way != ways_.end() && (again || !way->second.echoes))
    return microseconds(20) +
           kernel_.Between(way->second.least, std::max(way->second.least, way->second.late));
  if (faults.slow > 0 && kernel_.Chance(faults.slow))
    return kernel_.Between(milliseconds(1), faults.slowest);
  return kernel_.Between(microseconds(20), microseconds(400));
}

void Network::Carry(Host& from, Host& to, std::function<void()> arrive,
                    std::function<void()> refused) {
  if (Blocked(from, to) || (faults.lose > 0 && kernel_.Chance(faults.lose))) {
    kernel_.counts["messages lost"]++;
    return;
  }
  int copies = 1;
  double duplicate = faults.duplicate;
  if (auto way = ways_.find({&from, &to}); way != ways_.end())
    duplicate = std::max(duplicate, way->second.duplicate);
  if (duplicate > 0 && kernel_.Chance(duplicate)) {
    ++copies;
    kernel_.counts["messages doubled"]++;
  }
  for (int i = 0; i < copies; ++i) {
    if (!to.up) {
      kernel_.After(Delay(to, from), &from, refused);
      return;
    }
    kernel_.After(Delay(from, to, i > 0), &to, arrive);
  }
}

std::shared_ptr<Stream> Network::Connect(Host& from, Host& to) {
  auto stream = std::make_shared<Stream>(*this, from, to);
  std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
  streams_.push_back(stream);
  if (!to.up) stream->Break();
  return stream;
}

void Network::BreakStreams(const Host& of) {
  auto streams = streams_;
  for (const auto& weak : streams)
    if (auto stream = weak.lock(); stream && stream->Touches(of)) stream->Break();
}

bool Stream::Send(int from, Kernel::Work deliver) {
  Kernel& kernel = network_.kernel();
  if (ends_[from].closed) return false;
  if (broken_) return true;  // and it is lost
  if (network_.faults.break_stream > 0 && kernel.Chance(network_.faults.break_stream)) {
    kernel.counts["streams broken"]++;
    Break();
    return true;
  }
  End& end = ends_[1 - from];
  Duration arrival = kernel.now() + network_.Delay(*ends_[from].host, *end.host);
  if (!end.inbox.empty()) arrival = std::max(arrival, end.inbox.back().first);
  end.inbox.emplace_back(arrival, std::move(deliver));
  if (!end.pumping) {
    end.pumping = true;
    kernel.After(arrival - kernel.now(), nullptr,
                 [self = shared_from_this(), to = 1 - from] { self->Pump(to); });
  }
  return true;
}

void Stream::Pump(int to) {
  Kernel& kernel = network_.kernel();
  End& end = ends_[to];
  end.pumping = false;
  if (end.closed || end.host->boot != end.boot) return end.inbox.clear();
  if (end.inbox.empty()) return;
  Duration next = end.inbox.front().first;
  if (network_.Blocked(*ends_[1 - to].host, *end.host)) {
    if (end.stalled_since == Duration{}) end.stalled_since = kernel.now();
    if (kernel.now() - end.stalled_since > milliseconds(700)) return Break();
    next = kernel.now() + milliseconds(20);
  } else if (next <= kernel.now()) {
    end.stalled_since = {};
    auto work = std::move(end.inbox.front().second);
    end.inbox.pop_front();
    auto self = shared_from_this();
    kernel.After({}, end.host, [self, to, work = std::move(work)]() mutable {
      if (!self->ends_[to].closed) std::move(work)();
    });
    if (end.inbox.empty()) return;
    next = std::max(end.inbox.front().first, kernel.now());
  }
  end.pumping = true;
  kernel.After(next - kernel.now(), nullptr, [self = shared_from_this(), to] { self->Pump(to); });
}

void Stream::Break() {
  if (broken_) return;
  broken_ = true;
  Kernel& kernel = network_.kernel();
  for (int i = 0; i < 2; ++i) {
    if (ends_[i].host->boot != ends_[i].boot) {
      ends_[i].closed = true;
      continue;
    }
    kernel.After(kernel.Between(microseconds(50), milliseconds(kernel.Chance(0.2) ? 400 : 5)),
                 ends_[i].host, [self = shared_from_this(), i] {
                   self->ends_[i].closed = true;
                   if (auto told = std::exchange(self->ends_[i].told, nullptr)) told();
                 });
  }
}

}  // namespace appendfs::sim
