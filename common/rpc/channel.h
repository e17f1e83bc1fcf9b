#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "common/clock.h"

namespace appendfs {

// A channel to host:port with the project's limits: 64 MiB messages, quick
// reconnects (20 ms to 1 s), a TCP user timeout, its own connection (not one
// shared with other channels of the process).
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

void SetDeadline(grpc::ClientContext& context, Duration from_now);

}  // namespace appendfs
