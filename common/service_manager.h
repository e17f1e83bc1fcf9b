#pragma once

#include <string_view>

namespace appendfs {

// Tells systemd how this process is doing, if it asked to be told (Type=notify,
// sd_notify(3)): "READY=1", "STOPPING=1", "STATUS=text", several separated by
// newlines. False if nobody asked or nobody listens. Thread-safe.
bool TellServiceManager(std::string_view state);

}  // namespace appendfs
