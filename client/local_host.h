#pragma once

#include <string_view>

namespace appendfs {

// Whether `address` (host:port) names this host: by its name, by localhost, or
// by an address that one of its interfaces had when the process first asked.
bool IsThisHost(std::string_view address);

}  // namespace appendfs
