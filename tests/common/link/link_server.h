#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "common/link/shared_port.h"
#include "common/str_cat.h"

namespace appendfs {

// A port whose links are served by owners that a test makes.
class LinkServer {
 public:
  using MakeOwner =
      std::function<std::shared_ptr<FrameLink::Owner>(const std::shared_ptr<FrameLink>&)>;

  explicit LinkServer(MakeOwner make, SharedPort::OnOther on_other = nullptr) {
    auto on_link = [make = std::move(make)](LinkKind, const std::shared_ptr<FrameLink>& link) {
      return make(link);
    };
    port_ = *SharedPort::Listen(threads_, "127.0.0.1:0", on_link, std::move(on_other));
  }
  ~LinkServer() { threads_.Stop(); }
  std::string address() const { return StrCat("127.0.0.1:", port_->port()); }

 private:
  IoThreads threads_{"server"};
  std::shared_ptr<SharedPort> port_;
};

// Sends back what it gets, while it may read.
class Echo final : public FrameLink::Owner {
 public:
  explicit Echo(std::shared_ptr<FrameLink> link) : link_(std::move(link)) {}
  template <class Header>
  bool Send(const Header& header, const Buffer& payload) {
    return link_->Write(header, std::span(&payload, 1));
  }
  absl::Status OnFrame(const FrameParser::Frame& frame) override;
  bool MayRead() override { return !busy_; }
  void OnWritten() override {
    busy_ = false;
    link_->Resume();
  }
  void OnClosed(const absl::Status&) override {}

 private:
  const std::shared_ptr<FrameLink> link_;
  std::atomic<bool> busy_{false};
};

}  // namespace appendfs
