#pragma once

namespace appendfs {

// What both ends of a connection must agree on.
inline constexpr int kMaxMessageBytes = 64 << 20;
inline constexpr int kKeepaliveMs = 10'000;        // a silent connection is asked this often
inline constexpr int kKeepaliveTimeoutMs = 5'000;  // and given up after this (TCP user timeout)
inline constexpr int kFlowWindowBytes = 4 << 20;   // per stream, before the first measurement

}  // namespace appendfs
