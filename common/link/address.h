#pragma once

#include <string>
#include <utility>

namespace appendfs {

// host:port, [v6]:port → host, port; an empty port where there is none.
inline std::pair<std::string, std::string> SplitAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {host, colon == std::string::npos ? "" : address.substr(colon + 1)};
}

}  // namespace appendfs
