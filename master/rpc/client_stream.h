#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/link/server_stream.h"
#include "master/rpc/master_calls.h"
#include "master/sessions/watches.h"
#include "proto/master_calls.pb.h"

namespace appendfs {

// The serving end of a client's link: its calls, each answered once. Reads are
// answered on the link's thread from a snapshot, changes when they are durable
// and those who watch what they changed have heard of it. `calls` and `watches`
// outlive it.
class ClientStream final : public ServerStream<v1::MasterAnswer>, public Watches::Link {
 public:
  // Far more than the threads of a client that could wait; appends that wait
  // for a chunk are the most.
  static constexpr int64_t kMostUnderWay = 1 << 16;

  ClientStream(std::shared_ptr<FrameLink> link, MasterCalls& calls, Watches& watches)
      : ServerStream(std::move(link)), calls_(calls), watches_(watches) {}

  void Tell(const WatchTable::Telling& telling) override;
  void Send() override { Pump(); }

 private:
  absl::Status OnHello(const FrameParser::Frame& frame) override;
  absl::Status OnMessage(const FrameParser::Frame& frame) override;
  bool Admitted() override { return under_way_.load() < kMostUnderWay; }
  void OnEnded() override;

  // A call to be answered.
  struct Asked {
    uint64_t id = 0;
    bool watched = false;  // granted
  };
  std::shared_ptr<ClientStream> Self() {
    return std::static_pointer_cast<ClientStream>(this->shared_from_this());
  }
  void Run(Asked asked, const v1::MasterCall& call);
  // What sends the answer; `slot` is where it belongs.
  template <class Response>
  Reply<Response> Answer(Asked asked, Response* (v1::MasterAnswer::*slot)());
  // The same, after those have heard who watch what `inodes(response)` names.
  template <class Response, class Inodes>
  Reply<Response> AnswerChange(Asked asked, Response* (v1::MasterAnswer::*slot)(), Inodes inodes);
  void Answer(v1::MasterAnswer answer);

  absl::StatusOr<v1::Entry> Lookup(Asked& asked, const v1::LookupRequest& request);
  absl::StatusOr<v1::ReadDirectoryResponse> ReadDirectory(Asked& asked,
                                                          const v1::ReadDirectoryRequest& request);
  void MakeNode(Asked asked, const v1::MakeNodeRequest& request);
  void OpenTail(Asked asked, const v1::MasterCall& call);
  void Rename(Asked asked, const v1::RenameRequest& request);

  MasterCalls& calls_;
  Watches& watches_;
  WatchTable::Watcher watcher_ = 0;  // 0: not greeted yet
  std::atomic<int64_t> under_way_{0};
};

}  // namespace appendfs
