#pragma once

#include <map>
#include <string>

#include "client/master_client.h"
#include "client/session.h"
#include "tests/sim/world.h"

namespace appendfs::sim {

// Names of one client, in a directory of its own: makes, moves and removes
// them and attributes of what they name, and knows what every answer must be. Calls are repeated
// until they are answered, so one that is applied twice gives itself away. Runs on a fiber.
class Names {
 public:
  Names(World& world, MasterClient& master, Session& session, const Clock& clock,
        std::string directory)
      : world_(world),
        master_(master),
        session_(session),
        clock_(clock),
        directory_(std::move(directory)) {}

  [[noreturn]] void Run();

 private:
  // False: the outcome is not known. Then another directory is begun.
  bool MakeDirectory();
  bool Step();
  bool Make(const std::string& name);
  bool Remove(const std::string& name);
  bool Move(const std::string& from, const std::string& to);
  bool Look(const std::string& name);
  bool SetAttribute(const std::string& name);
  bool RemoveAttribute(const std::string& name);
  bool LookAtAttributes();
  template <class Response, class Request>
  absl::StatusOr<Response> Mutate(Request request);
  // Whether it is as it must be; a violation fails the kernel.
  bool Expect(const absl::Status& status, bool possible, Reason otherwise, const std::string& what);
  uint64_t InodeOf(const std::string& name) const;
  uint64_t AnyInode();  // 0: there is none
  Duration Deadline() const { return clock_.Monotonic() + seconds(3); }

  World& world_;
  MasterClient& master_;
  Session& session_;
  const Clock& clock_;
  const std::string directory_;
  int directories_ = 0;
  uint64_t inode_ = 0;
  std::map<std::string, uint64_t> names_;
  std::map<uint64_t, std::map<std::string, std::string>> attributes_;  // by inode
};

}  // namespace appendfs::sim
