#pragma once

#include <memory>
#include <utility>

#include "common/link/frame_link.h"
#include "common/link/parcel_queue.h"
#include "common/protocol.h"

namespace appendfs {

// The serving end of a link: greets, reads one message at a time while it may,
// and writes what waits in few messages. Who leaves too many replies unread is
// not read from either. Derived classes say what a message means. Reply has
// `refusal` and `version`.
template <class Reply>
class ServerStream : public FrameLink::Owner,
                     public std::enable_shared_from_this<ServerStream<Reply>> {
 public:
  explicit ServerStream(std::shared_ptr<FrameLink> link) : link_(std::move(link)) {}

  // A stream that is not known yet could not be told to go on.
  bool MayRead() final { return !greeted_ || over_ || (Admitted() && !replies_.crowded()); }
  absl::Status OnFrame(const FrameParser::Frame& frame) final {
    if (over_) return absl::OkStatus();  // refused; the other side will close
    absl::Status status = greeted_ ? OnMessage(frame) : OnHello(frame);
    if (!status.ok()) {
      End();
      replies_.AddLast([&](auto& parcel) { *parcel.header.mutable_refusal() = ToProto(status); });
    } else if (!greeted_) {
      greeted_ = true;
      replies_.AddAlone([](auto& parcel) { *parcel.header.mutable_version() = OurProtocol(); });
    }
    WriteNext();
    return absl::OkStatus();
  }
  void OnWritten() final {
    replies_.Written();
    Pump();
  }
  void OnClosed(const absl::Status&) final {
    End();
    replies_.Close();
  }

 protected:
  // An error refuses the stream and ends it.
  virtual absl::Status OnHello(const FrameParser::Frame& frame) = 0;
  virtual absl::Status OnMessage(const FrameParser::Frame& frame) = 0;
  // Whether to read on; when it turns true, Pump is to be called. Takes no locks.
  virtual bool Admitted() { return true; }
  virtual void OnEnded() = 0;  // once, after the last message; also if the greeting failed

  // Writes what waits, reads on if it may. From any thread, without locks.
  void Pump() {
    WriteNext();
    link_->Resume();
  }
  ParcelQueue<Reply>& replies() { return replies_; }

 private:
  void WriteNext() {
    while (auto parcel = replies_.Take()) {
      if (!link_->Write(parcel->header, parcel->payload)) return;
      replies_.Written();
    }
  }
  void End() {
    if (!std::exchange(over_, true)) OnEnded();
  }

  const std::shared_ptr<FrameLink> link_;
  bool greeted_ = false;  // of the link's thread
  bool over_ = false;     // of the link's thread
  ParcelQueue<Reply> replies_;
};

}  // namespace appendfs
