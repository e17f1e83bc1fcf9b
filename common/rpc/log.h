#pragma once

namespace appendfs {

// Sends gRPC's own log to glog, where it shows with --log-level debug only:
// what matters of it also comes as a status. Once per process; later calls do
// nothing.
void RouteGrpcLog();

}  // namespace appendfs
