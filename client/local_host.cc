#include "client/local_host.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <string>

namespace appendfs {
namespace {

using Names = std::set<std::string, std::less<>>;

Names FindNames() {
  Names names = {"localhost"};
  char text[NI_MAXHOST] = {};
  if (gethostname(text, sizeof(text) - 1) == 0) names.insert(text);
  ifaddrs* interfaces = nullptr;
  if (getifaddrs(&interfaces) != 0) return names;
  for (const ifaddrs* at = interfaces; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t bytes = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (getnameinfo(at->ifa_addr, bytes, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0)
      names.insert(text);
  }
  freeifaddrs(interfaces);
  return names;
}

}  // namespace

bool IsThisHost(std::string_view address) {
  static const Names* const names = new Names(FindNames());  // never destroyed
  std::string_view host = address.substr(0, address.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return names->contains(host);
}

}  // namespace appendfs
