#pragma once

#include <sys/uio.h>

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/link/frame_link.h"

namespace appendfs {

// Reads on the link's thread; writes on the thread that has something to
// write, as far as the socket takes it, and the rest on the link's thread.
class TcpLink final : public FrameLink,
                      public IoThreads::User,
                      public std::enable_shared_from_this<TcpLink> {
 public:
  // One that will connect.
  TcpLink(asio::io_context& context, std::string address, LinkKind kind);
  // One that was accepted; `context` is the socket's.
  TcpLink(asio::io_context& context, asio::ip::tcp::socket socket);

  void Begin(std::shared_ptr<Owner> owner) override;
  bool Write(const google::protobuf::MessageLite& header, std::span<const Buffer> payload) override;
  void Resume() override;
  void Close() override;
  void Stop() override { Close(); }

 private:
  // A frame, or what is left of it.
  struct Outgoing {
    std::string head;  // short payload parts are copied behind it
    std::vector<Buffer> parts;
    size_t sent = 0;  // of all these bytes
    size_t size = 0;
  };
  enum class State { kConnecting, kOpen, kClosed };

  void Connect();
  void OnConnected(const asio::error_code& error);
  void Opened();
  // False: the socket takes no more now. Broken sockets take everything.
  bool SendSome(Outgoing& outgoing);
  void FinishWrite();
  void Read();
  void Deliver();
  void Ended(const absl::Status& why);
  bool IsClosed();
  absl::Status Unreachable(const std::string& what) const;

  asio::io_context& context_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  const std::string address_;   // of the other side
  const std::string greeting_;  // none: accepted
  // Of the link's thread.
  std::shared_ptr<Owner> owner_;  // null: not begun, or OnClosed was called
  bool connected_ = false;
  FrameParser parser_;

  std::atomic<bool> paused_{false};
  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kConnecting;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;  // outgoing_ is kept for the connection
  // Of the one Write under way: its caller, then the link's thread.
  Outgoing outgoing_;
};

}  // namespace appendfs
