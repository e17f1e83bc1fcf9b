#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "chunkserver/core/messages.h"

namespace appendfs {

// The engine's ends of the streams. Queue calls come under the engine's lock:
// they keep order, do no I/O and never call back. Flush comes without locks,
// from any thread, and sends what waits, in few messages. All are thread-safe.
class Outlet {
 public:
  virtual ~Outlet() = default;
  virtual void Flush() = 0;
};

// The answering side of a client's append stream.
class ClientSink : public Outlet {
 public:
  virtual void Queue(const ClientOutcome& outcome) = 0;
  // The stream's share of memory shrank without an answer.
  virtual void Release(uint64_t bytes) = 0;
  // The engine admits clients again; without locks.
  virtual void ResumeReading() = 0;
};

// Replica to primary.
class VoteSink : public Outlet {
 public:
  virtual void Queue(const Vote& vote) = 0;
  virtual void Queue(const ConfirmAnswer& answer) = 0;
  virtual void ResumeReading() = 0;
};

// Primary to replica. Connects when there is something to send; when the way
// breaks, what waits is dropped and Engine::OnPeerBroken is told.
class PeerLink : public Outlet {
 public:
  virtual void Queue(const Ready& ready) = 0;
  virtual void Queue(const Commit& commit) = 0;
  virtual void Queue(const Confirm& confirm) = 0;
};

// All links of this server; one per other server, shared by its chunks.
class PeerLinks {
 public:
  virtual ~PeerLinks() = default;
  virtual std::shared_ptr<PeerLink> To(ServerId server, const std::string& address) = 0;
};

// Where the engine leaves what the master should know. Called without locks.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void Post(const ChunkEvent& event) = 0;
};

}  // namespace appendfs
