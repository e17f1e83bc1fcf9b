#include "common/http/operations_port.h"

#include <glog/logging.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/http/process_metrics.h"
#include "common/str_cat.h"
#include "httplib.h"

namespace appendfs {
namespace {

constexpr int kThreads = 2;
constexpr int kIdleSeconds = 5;
constexpr int kKeptSeconds = 1;  // a connection without a request; the end waits for it
constexpr size_t kMostRequestBytes = 64 << 10;
constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kPrometheusText[] = "text/plain; version=0.0.4; charset=utf-8";

struct HostPort {
  std::string host;
  int port = 0;
};

std::optional<HostPort> ParseHostPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  HostPort parsed{address.substr(0, colon)};
  const char* const end = address.data() + address.size();
  const auto number = std::from_chars(address.data() + colon + 1, end, parsed.port);
  if (number.ec != std::errc() || number.ptr != end) return std::nullopt;
  if (parsed.port < 0 || parsed.port > 65535) return std::nullopt;
  std::string& host = parsed.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  if (host.empty() || host == "*") host = "0.0.0.0";
  return parsed;
}

std::string NextPort(const std::string& served) {
  const std::optional<HostPort> parsed = ParseHostPort(served);
  if (!parsed) return served;
  return StrCat(served.substr(0, served.rfind(':') + 1), parsed->port + 1);
}

class HttplibPort final : public OperationsPort {
 public:
  explicit HttplibPort(Parts parts) : parts_(std::move(parts)) {
    parts_.metrics.push_back(std::make_shared<ProcessMetrics>(parts_.version));
    server_.new_task_queue = [this] {
      running_.Notify();  // the library asks for it once, when it can be stopped
      return new httplib::ThreadPool(kThreads);
    };
    server_.set_read_timeout(kIdleSeconds);
    server_.set_write_timeout(kIdleSeconds);
    server_.set_keep_alive_timeout(kKeptSeconds);
    server_.set_payload_max_length(kMostRequestBytes);
    // Not the library's choice, which lets two programs share a port unnoticed.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(Metrics(), kPrometheusText);
    });
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", kText);
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const absl::Status ready = parts_.ready();
      if (!ready.ok()) response.status = 503;
      response.set_content(ready.ok() ? "ok\n" : StrCat(ready.message(), "\n"), kText);
    });
  }

  ~HttplibPort() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    const std::optional<HostPort> listen = ParseHostPort(address);
    if (!listen)
      return MakeError(v1::INVALID, StrCat("'", address,
                                           "' is no address for HTTP: --http takes "
                                           "HOST:PORT, or 'none' for no such port"));
    errno = 0;
    if (listen->port == 0)
      port_ = server_.bind_to_any_port(listen->host);
    else
      port_ = server_.bind_to_port(listen->host, listen->port) ? listen->port : -1;
    if (port_ <= 0) {
      const absl::Status why = errno != 0
                                   ? ErrnoError("listen on", address, errno)
                                   : MakeError(v1::INVALID, StrCat(address, ": no such host"));
      return MakeError(v1::UNREACHABLE, StrCat("no HTTP: ", FromAbsl(why.message()),
                                               "; choose another port with --http, or 'none'"));
    }
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "http");
      server_.listen_after_bind();
    });
    running_.WaitForNotification();
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  std::string Metrics() const {
    std::vector<prometheus::MetricFamily> families;
    for (const auto& source : parts_.metrics) {
      std::vector<prometheus::MetricFamily> collected = source->Collect();
      std::move(collected.begin(), collected.end(), std::back_inserter(families));
    }
    return prometheus::TextSerializer().Serialize(families);
  }

  Parts parts_;
  absl::Notification running_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<OperationsPort>> OperationsPort::Start(const std::string& wanted,
                                                                      const std::string& served,
                                                                      Parts parts) {
  if (wanted == "none") return nullptr;
  auto port = std::make_unique<HttplibPort>(std::move(parts));
  if (!wanted.empty()) {
    APPENDFS_RETURN_IF_ERROR(port->Listen(wanted));
  } else if (absl::Status status = port->Listen(NextPort(served)); !status.ok()) {
    LOG(WARNING) << status.message();
    return nullptr;
  }
  LOG(INFO) << "HTTP on port " << port->port();
  return port;
}

}  // namespace appendfs
