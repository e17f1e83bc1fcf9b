#pragma once

namespace appendfs {

// What gRPC needs before its first use in a process; later calls do nothing.
// Its own log goes to glog, where it shows with --log-level debug only: what
// matters of it also comes as a status. And it stays initialised until the
// process ends: its last shutdown waits for a poll of up to ten seconds, which
// a command that is done would have to sit through.
void PrepareGrpc();

}  // namespace appendfs
