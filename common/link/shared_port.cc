#include "common/link/shared_port.h"

#include <glog/logging.h>
#include <sys/socket.h>

#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <utility>

#include "common/link/address.h"
#include "common/link/tcp_link.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

using asio::ip::tcp;

constexpr auto kGreetingPatience = std::chrono::seconds(5);
constexpr auto kLookAgain = std::chrono::milliseconds(5);      // for the rest of a greeting
constexpr auto kAcceptAgain = std::chrono::milliseconds(100);  // after running out of descriptors

class TcpSharedPort final : public SharedPort,
                            public IoThreads::User,
                            public std::enable_shared_from_this<TcpSharedPort> {
 public:
  TcpSharedPort(IoThreads& threads, OnLink on_link, OnOther on_other)
      : threads_(threads),
        context_(threads.Pick()),
        acceptor_(context_),
        again_(context_),
        on_link_(std::move(on_link)),
        on_other_(std::move(on_other)) {}

  absl::Status Open(const std::string& listen) {
    auto [host, port] = SplitAddress(listen);
    if (host == "*") host = "";
    asio::error_code error;
    tcp::resolver resolver(context_);
    const auto found = resolver.resolve(host, port, tcp::resolver::passive, error);
    if (!error) {
      const tcp::endpoint endpoint = *found.begin();
      acceptor_.open(endpoint.protocol(), error);
      if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
      if (!error) acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error)
      return MakeError(v1::INPUT_OUTPUT,
                       StrCat("listen on ", listen, ": cannot be bound (", error.message(), ")"));
    port_ = acceptor_.local_endpoint().port();
    Accept();
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  void Close() override {
    asio::post(context_, [self = shared_from_this()] {
      asio::error_code ignored;
      self->acceptor_.close(ignored);
      self->again_.cancel();
    });
  }
  void Stop() override { Close(); }

 private:
  // A connection that has not yet said what it is.
  struct Stranger : IoThreads::User, std::enable_shared_from_this<Stranger> {
    Stranger(asio::io_context& own, tcp::socket taken)
        : context(own), socket(std::move(taken)), timer(own), patience(own) {}
    void Stop() override {
      asio::post(context, [self = shared_from_this()] { self->Leave(); });
    }
    void Leave() {
      asio::error_code ignored;
      socket.close(ignored);
      timer.cancel();
      patience.cancel();
    }
    asio::io_context& context;
    tcp::socket socket;
    asio::steady_timer timer, patience;
  };

  void Accept() {
    asio::io_context& context = threads_.Pick();
    acceptor_.async_accept(context, [self = shared_from_this(), &context](
                                        const asio::error_code& error, tcp::socket socket) {
      if (!self->acceptor_.is_open()) return;
      if (!error) {
        self->Meet(context, std::move(socket));
        return self->Accept();
      }
      LOG(WARNING) << "accepting a connection on port " << self->port_ << ": " << error.message();
      self->again_.expires_after(kAcceptAgain);
      self->again_.async_wait([self](const asio::error_code& cancelled) {
        if (!cancelled) self->Accept();
      });
    });
  }

  void Meet(asio::io_context& context, tcp::socket socket) {
    asio::error_code ignored;
    socket.non_blocking(true, ignored);
    auto stranger = std::make_shared<Stranger>(context, std::move(socket));
    threads_.Add(stranger);
    asio::post(context, [self = shared_from_this(), stranger] {
      if (!stranger->socket.is_open()) return;  // stopped already
      stranger->patience.expires_after(kGreetingPatience);
      stranger->patience.async_wait([stranger](const asio::error_code& cancelled) {
        if (!cancelled) stranger->Leave();
      });
      self->Look(stranger);
    });
  }

  void Look(const std::shared_ptr<Stranger>& stranger) {
    stranger->socket.async_wait(tcp::socket::wait_read, [self = shared_from_this(),
                                                         stranger](const asio::error_code& error) {
      if (!error) self->Recognise(stranger);
    });
  }

  void Recognise(const std::shared_ptr<Stranger>& stranger) {
    if (!stranger->socket.is_open()) return;
    char bytes[kGreetingBytes];
    const int descriptor = stranger->socket.native_handle();
    const ssize_t got = ::recv(descriptor, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0) return stranger->Leave();
    const std::string_view seen(bytes, static_cast<size_t>(got));
    if (!seen.starts_with(std::string_view("AFS").substr(0, seen.size()))) {
      stranger->timer.cancel();
      stranger->patience.cancel();
      asio::error_code ignored;
      stranger->socket.set_option(tcp::no_delay(true), ignored);  // gRPC does so where it accepts
      return on_other_(stranger->socket.release(ignored));
    }
    if (seen.size() < kGreetingBytes) {
      stranger->timer.expires_after(kLookAgain);
      return stranger->timer.async_wait(
          [self = shared_from_this(), stranger](const asio::error_code& cancelled) {
            if (!cancelled) self->Look(stranger);
          });
    }
    const std::optional<LinkKind> kind = ReadGreeting(seen);
    if (!kind) {
      LOG(WARNING) << "refused a link of an unknown format or kind on port " << port_;
      return stranger->Leave();
    }
    (void)::recv(descriptor, bytes, sizeof(bytes), MSG_DONTWAIT);
    stranger->patience.cancel();
    auto link = std::make_shared<TcpLink>(stranger->context, std::move(stranger->socket));
    threads_.Add(link);
    std::shared_ptr<FrameLink::Owner> owner = on_link_(*kind, link);
    if (owner != nullptr) link->Begin(std::move(owner));
  }

  IoThreads& threads_;
  asio::io_context& context_;
  tcp::acceptor acceptor_;
  asio::steady_timer again_;
  const OnLink on_link_;
  const OnOther on_other_;
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::shared_ptr<SharedPort>> SharedPort::Listen(IoThreads& threads,
                                                               const std::string& listen,
                                                               OnLink on_link, OnOther on_other) {
  auto port = std::make_shared<TcpSharedPort>(threads, std::move(on_link), std::move(on_other));
  APPENDFS_RETURN_IF_ERROR(port->Open(listen));
  threads.Add(port);
  return std::shared_ptr<SharedPort>(std::move(port));
}

}  // namespace appendfs
