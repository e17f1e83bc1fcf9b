#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "chunkserver/rpc/parcel_queue.h"
#include "common/protocol.h"
#include "common/rpc/payload.h"
#include "common/rpc/status.h"

namespace appendfs {

// The serving end of a long-lived stream: greets, reads one message at a time
// while it may, and writes what waits in few messages. Derived classes say
// what a message means. Keeps itself alive until gRPC is done with it; calls
// of Pump after that do nothing. Reply has `refusal` and `version`.
template <class Reply>
class ServerStream : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                     public std::enable_shared_from_this<ServerStream<Reply>> {
 public:
  // Once, right after construction into a shared_ptr.
  void Begin() {
    self_ = this->shared_from_this();
    absl::MutexLock lock(&reading_mutex_);
    reading_ = true;
    this->StartRead(&incoming_);
  }

  void OnReadDone(bool ok) final {
    if (!ok) return End();
    absl::Status status = greeted_ ? OnMessage(incoming_) : OnHello(incoming_);
    incoming_.Clear();
    if (!status.ok()) return Refuse(status);
    if (!greeted_) {
      greeted_ = true;
      replies_.AddAlone([](auto& parcel) { *parcel.header.mutable_version() = OurProtocol(); });
    }
    WriteNext();
    ContinueReading(/*reaction_over=*/true);
  }
  void OnWriteDone(bool ok) final {
    outgoing_.Clear();
    if (!ok) OnCancel();
    if (replies_.Written()) return this->Finish(grpc::Status::OK);
    WriteNext();
  }
  // While a message is read or worked on, its end finds out.
  void OnCancel() final {
    {
      absl::MutexLock lock(&reading_mutex_);
      cancelled_ = true;
      if (reading_) return;
    }
    End();
  }
  void OnDone() final { auto last = std::move(self_); }

 protected:
  // An error refuses the stream and ends it.
  virtual absl::Status OnHello(const grpc::ByteBuffer& message) = 0;
  virtual absl::Status OnMessage(const grpc::ByteBuffer& message) = 0;
  // Whether to read on; when it turns true, Pump is to be called. Takes no locks.
  virtual bool MayRead() = 0;
  virtual void OnEnded() = 0;  // once, after the last message; also if the greeting failed

  // Writes what waits, reads on if it may.
  void Pump() {
    WriteNext();
    ContinueReading(/*reaction_over=*/false);
  }
  ParcelQueue<Reply>& replies() { return replies_; }

 private:
  void WriteNext() {
    auto parcel = replies_.Take();
    if (!parcel) return;
    outgoing_ = SerializeWithPayload(parcel->header, parcel->payload);
    this->StartWrite(&outgoing_);
  }
  // gRPC runs no reaction inside StartRead; the lock keeps it before Finish.
  void ContinueReading(bool reaction_over) {
    {
      absl::MutexLock lock(&reading_mutex_);
      if (reaction_over) reading_ = false;
      if (reading_ || ended_) return;
      if (!cancelled_) {
        if (!MayRead()) return;
        reading_ = true;
        return this->StartRead(&incoming_);
      }
    }
    End();
  }
  bool StopReading() {
    absl::MutexLock lock(&reading_mutex_);
    return !std::exchange(ended_, true);
  }
  void Refuse(const absl::Status& why) {
    if (StopReading()) OnEnded();
    replies_.AddLast([&](auto& parcel) { *parcel.header.mutable_refusal() = ToProto(why); });
    WriteNext();
  }
  void End() {
    if (StopReading()) OnEnded();
    if (replies_.Close()) this->Finish(grpc::Status::OK);
  }

  std::shared_ptr<ServerStream> self_;  // until OnDone
  bool greeted_ = false;                // of the reading reaction
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  ParcelQueue<Reply> replies_;
  absl::Mutex reading_mutex_;
  bool reading_ ABSL_GUARDED_BY(reading_mutex_) = false;  // or at work on what was read
  bool cancelled_ ABSL_GUARDED_BY(reading_mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(reading_mutex_) = false;
};

}  // namespace appendfs
