#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <utility>

#include "common/rpc/status.h"
#include "master/rpc/master_calls.h"

namespace appendfs {

// Ends a unary call with what a handler returned.
template <class Response>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Response* out,
                                 absl::StatusOr<Response> result) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status status = result.status();
  if (status.ok()) *out = *std::move(result);
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Ends a unary call later, when a handler answers. For answers that are sure
// to come soon.
template <class Response>
Reply<Response> AnswerLater(grpc::ServerUnaryReactor* reactor, Response* out) {
  return [reactor, out](absl::StatusOr<Response> result) {
    const absl::Status status = result.status();
    if (status.ok()) *out = *std::move(result);
    reactor->Finish(ToGrpc(status));
  };
}

}  // namespace appendfs
