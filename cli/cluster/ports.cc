#include "cli/cluster/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace appendfs::cli {
namespace {

constexpr int kStep = 10;

// A listening socket on 127.0.0.1, so that a port stays ours while others are
// chosen.
class Probe {
 public:
  explicit Probe(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd_, generic, size) == 0 && listen(fd_, 1) == 0 &&
        getsockname(fd_, generic, &size) == 0)
      port_ = ntohs(address.sin_port);
  }
  Probe(Probe&& other) noexcept : fd_(std::exchange(other.fd_, -1)), port_(other.port_) {}
  ~Probe() {
    if (fd_ >= 0) close(fd_);
  }
  int port() const { return port_; }  // 0: not to be had

 private:
  int fd_;
  int port_ = 0;
};

}  // namespace

bool PortIsFree(int port) { return Probe(port).port() != 0; }

absl::StatusOr<std::vector<int>> ChoosePorts(int first, int count) {
  std::vector<Probe> held;
  for (int i = 0; i < count; ++i) {
    int wanted = first == 0 ? 0 : first + kStep * i;
    Probe probe(wanted > 65535 ? 0 : wanted);
    held.push_back(probe.port() != 0 ? std::move(probe) : Probe(0));
    if (held.back().port() == 0) return ErrnoError("listen on", "127.0.0.1", errno);
  }
  std::vector<int> ports;
  for (const Probe& probe : held) ports.push_back(probe.port());
  return ports;
}

}  // namespace appendfs::cli
