#include "common/link/tcp_link.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/connect.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <utility>

#include "common/link/address.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

using asio::ip::tcp;

constexpr auto kConnect = std::chrono::seconds(1);
constexpr size_t kCopyBelowBytes = 2048;  // a part of its own costs more than copying it
constexpr int kVectors = 64;
// A host that vanished is noticed by its silence, a process that stopped by
// those who wait for its answers.
constexpr int kIdleSeconds = 5, kProbeSeconds = 2, kProbes = 3;
constexpr unsigned kUnacknowledgedMs = 10'000;

void Tune(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kIdleSeconds, sizeof(kIdleSeconds));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kProbeSeconds, sizeof(kProbeSeconds));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof(kProbes));
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof(kUnacknowledgedMs));
}

std::string Other(const tcp::socket& socket) {
  asio::error_code unknown;
  const tcp::endpoint endpoint = socket.remote_endpoint(unknown);
  return StrCat(endpoint.address().to_string(), ":", endpoint.port());
}

// What of head and parts lies beyond `sent`.
int Vectors(const std::string& head, const std::vector<Buffer>& parts, size_t sent, iovec* to) {
  int count = 0;
  auto add = [&](std::string_view bytes) {
    if (sent >= bytes.size()) {
      sent -= bytes.size();
    } else if (count < kVectors) {
      bytes.remove_prefix(std::exchange(sent, 0));
      to[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
    }
  };
  add(head);
  for (const Buffer& part : parts) add(part.view());
  return count;
}

}  // namespace

std::shared_ptr<FrameLink> FrameLink::To(IoThreads& threads, const std::string& address,
                                         LinkKind kind) {
  auto link = std::make_shared<TcpLink>(threads.Pick(), address, kind);
  threads.Add(link);
  return link;
}

TcpLink::TcpLink(asio::io_context& context, std::string address, LinkKind kind)
    : context_(context),
      socket_(context),
      timer_(context),
      address_(std::move(address)),
      greeting_(Greeting(kind)) {}

TcpLink::TcpLink(asio::io_context& context, tcp::socket socket)
    : context_(context),
      socket_(std::move(socket)),
      timer_(context),
      address_(Other(socket_)),
      connected_(true) {}

void TcpLink::Begin(std::shared_ptr<Owner> owner) {
  asio::post(context_, [self = shared_from_this(), owner = std::move(owner)]() mutable {
    self->owner_ = std::move(owner);
    if (self->IsClosed()) return self->Ended(self->Unreachable("closed"));
    if (self->connected_)
      self->Opened();
    else
      self->Connect();
  });
}

void TcpLink::Connect() {
  auto self = shared_from_this();
  timer_.expires_after(kConnect);
  timer_.async_wait([self](const asio::error_code& cancelled) {
    if (!cancelled && !self->connected_)
      self->Ended(self->Unreachable("no connection within a second"));
  });
  auto [host, port] = SplitAddress(address_);
  asio::error_code not_numeric;
  const asio::ip::address numeric = asio::ip::make_address(host, not_numeric);
  if (!not_numeric) {
    const auto number = static_cast<uint16_t>(std::strtoul(port.c_str(), nullptr, 10));
    return socket_.async_connect(
        {numeric, number}, [self](const asio::error_code& error) { self->OnConnected(error); });
  }
  auto resolver = std::make_shared<tcp::resolver>(context_);
  resolver->async_resolve(
      host, port,
      [self, resolver](const asio::error_code& unknown, const tcp::resolver::results_type& found) {
        if (unknown) return self->OnConnected(unknown);
        if (self->owner_ == nullptr) return;  // too late
        asio::async_connect(self->socket_, found,
                            [self](const asio::error_code& error, const tcp::endpoint&) {
                              self->OnConnected(error);
                            });
      });
}

void TcpLink::OnConnected(const asio::error_code& error) {
  if (owner_ == nullptr) return;
  if (error) return Ended(Unreachable(error.message()));
  connected_ = true;
  timer_.cancel();
  const ssize_t sent = ::send(socket_.native_handle(), greeting_.data(), greeting_.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
  if (sent != static_cast<ssize_t>(greeting_.size()))
    return Ended(Unreachable("the connection broke at once"));
  Opened();
}

void TcpLink::Opened() {
  asio::error_code ignored;
  socket_.non_blocking(true, ignored);
  Tune(socket_.native_handle());
  bool write = false, closed = false;
  {
    absl::MutexLock lock(&mutex_);
    closed = state_ == State::kClosed;
    if (!closed) state_ = State::kOpen;
    write = std::exchange(waiting_, false);
  }
  if (closed) return Ended(Unreachable("closed"));
  Read();
  if (write) FinishWrite();
}

bool TcpLink::Write(const google::protobuf::MessageLite& header, std::span<const Buffer> payload) {
  size_t bytes = 0;
  for (const Buffer& part : payload) bytes += part.size();
  outgoing_.head = FrameHead(header, bytes);
  outgoing_.size = outgoing_.head.size() + bytes;
  outgoing_.sent = 0;
  outgoing_.parts.clear();
  for (const Buffer& part : payload) {
    if (outgoing_.parts.empty() && part.size() < kCopyBelowBytes)
      outgoing_.head.append(part.view());
    else
      outgoing_.parts.push_back(part);
  }
  {
    absl::MutexLock lock(&mutex_);
    if (state_ == State::kClosed) return true;
    if (state_ == State::kConnecting) {
      waiting_ = true;
      return false;
    }
  }
  if (SendSome(outgoing_)) return true;
  asio::post(context_, [self = shared_from_this()] { self->FinishWrite(); });
  return false;
}

bool TcpLink::SendSome(Outgoing& outgoing) {
  while (outgoing.sent < outgoing.size) {
    iovec vectors[kVectors];
    msghdr message = {};
    message.msg_iov = vectors;
    message.msg_iovlen = Vectors(outgoing.head, outgoing.parts, outgoing.sent, vectors);
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      outgoing.sent += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      return false;
    } else if (errno != EINTR) {
      ::shutdown(socket_.native_handle(), SHUT_RDWR);  // the reading side finds out
      break;
    }
  }
  outgoing.parts.clear();
  return true;
}

void TcpLink::FinishWrite() {
  if (owner_ == nullptr) return;
  if (SendSome(outgoing_)) return owner_->OnWritten();
  socket_.async_wait(tcp::socket::wait_write,
                     [self = shared_from_this()](const asio::error_code&) { self->FinishWrite(); });
}

void TcpLink::Read() {
  const std::span<char> space = parser_.Space();
  socket_.async_read_some(asio::buffer(space.data(), space.size()),
                          [self = shared_from_this()](const asio::error_code& error, size_t bytes) {
                            if (error)
                              return self->Ended(self->Unreachable(
                                  error == asio::error::eof ? "the other side closed the connection"
                                                            : error.message()));
                            self->parser_.Filled(bytes);
                            self->Deliver();
                          });
}

void TcpLink::Deliver() {
  while (owner_ != nullptr) {
    if (!owner_->MayRead()) {
      paused_.store(true);
      if (!owner_->MayRead()) return;  // Resume comes
      paused_.store(false);
    }
    absl::StatusOr<std::optional<FrameParser::Frame>> frame = parser_.Next();
    if (!frame.ok()) return Ended(frame.status());
    if (!frame->has_value()) return Read();
    if (absl::Status status = owner_->OnFrame(**frame); !status.ok()) return Ended(status);
  }
}

void TcpLink::Resume() {
  if (!paused_.load()) return;
  asio::post(context_, [self = shared_from_this()] {
    if (self->paused_.exchange(false)) self->Deliver();
  });
}

void TcpLink::Close() {
  {
    absl::MutexLock lock(&mutex_);
    if (state_ == State::kClosed) return;
    if (state_ == State::kOpen) ::shutdown(socket_.native_handle(), SHUT_RDWR);
    state_ = State::kClosed;
  }
  asio::post(context_, [self = shared_from_this()] { self->Ended(self->Unreachable("closed")); });
}

void TcpLink::Ended(const absl::Status& why) {
  if (owner_ == nullptr) return;
  {
    absl::MutexLock lock(&mutex_);
    state_ = State::kClosed;
  }
  timer_.cancel();
  asio::error_code ignored;
  if (connected_) {
    // The socket itself is closed with the link: another thread may be sending.
    ::shutdown(socket_.native_handle(), SHUT_RDWR);
    socket_.cancel(ignored);
  } else {
    socket_.close(ignored);  // so that no further address is tried
  }
  std::shared_ptr<Owner> owner = std::exchange(owner_, nullptr);
  owner->OnClosed(why);
}

bool TcpLink::IsClosed() {
  absl::MutexLock lock(&mutex_);
  return state_ == State::kClosed;
}

absl::Status TcpLink::Unreachable(const std::string& what) const {
  return MakeError(v1::UNREACHABLE, StrCat(address_, ": ", what));
}

}  // namespace appendfs
