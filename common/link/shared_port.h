#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "common/link/frame_link.h"

namespace appendfs {

// A listening address that links share with another protocol (gRPC): the first
// bytes of a connection tell which it is. So a server has one address.
// Owned by the process; closed with its threads.
class SharedPort {
 public:
  // An owner for a link of this kind, none to refuse it. On a link's thread.
  using OnLink =
      std::function<std::shared_ptr<FrameLink::Owner>(LinkKind, const std::shared_ptr<FrameLink>&)>;
  // A connection that does not begin as links do, nothing read from it yet;
  // takes over the descriptor, which does not block, nor delay small writes. On a
  // link's thread.
  using OnOther = std::function<void(int descriptor)>;

  // `listen` is host:port; an empty host or * is any address, port 0 a free
  // one. Error: INPUT_OUTPUT names the address ("already in use?").
  static absl::StatusOr<std::shared_ptr<SharedPort>> Listen(IoThreads& threads,
                                                            const std::string& listen,
                                                            OnLink on_link, OnOther on_other);
  virtual ~SharedPort() = default;
  virtual int port() const = 0;
  // Accepts no more; thread-safe.
  virtual void Close() = 0;
};

}  // namespace appendfs
