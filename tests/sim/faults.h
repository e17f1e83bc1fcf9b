#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "proto/types.pb.h"
#include "tests/sim/world.h"

namespace appendfs {
class SimFileSystem;
}

namespace appendfs::sim {

class ClientNode;

// What goes wrong in a run. Every seed has its own weather (how the network
// is on the whole) and one of a few plots: which faults strike, how often, and
// whether they go for recoveries that are under way. Some bugs need two faults
// in the right order; a plot makes that order likely, never sure.
//
// At most one server, the harmable one, has a disk that lies.
class Faults {
 public:
  // What the machines can be made to do.
  struct Machines {
    std::function<void(ServerNode&, bool power)> crash_server;
    std::function<void(ServerNode&, bool power, Duration down)> crash_server_for;
    std::function<void(Duration down)> crash_master;
    std::vector<ClientNode*> clients;
  };
  // `plot`: one of those below; drawn by the caller.
  Faults(World& world, Machines machines, uint64_t plot);
  static uint64_t Plots();
  // Its number. There must be one.
  static uint64_t PlotNamed(std::string_view name);

  const char* name() const;
  void Begin();
  // Nothing more is begun; when what is under way will have come to its end.
  Duration Conclude();
  // Nothing goes wrong from now on, and what is wrong now ends.
  void End();

 private:
  enum Kind {
    kPowerLoss,
    kKill,
    kPowerLossInWrite,
    kPowerLossOfAll,
    kTwoInARow,
    kMasterKill,
    kServerPause,
    kClientPause,
    kClientKill,
    kPartition,
    kLostReplies,
    kBrokenStreams,
    kSluggishHost,
    kLateCommands,
    kFullDisk,
    kFailedSync,
    kBitFlip,
    kCutOffPrimary,
    kSleepUnanswered,
    kRestartUnnoticed,
    kEchoedCommands,
    kLoneHolder,
    kSleepAcrossRolls,
    kSleepAcrossPark,
    kSleepAcrossSession,
    kRest,
  };
  struct Plot {
    const char* name;
    double pace;  // of faults, compared with the seed's
    bool strikes_recoveries;
    std::vector<std::pair<Kind, int>> weights;
    int Weight(Kind kind) const;
  };
  static const std::vector<Plot>& AllPlots();

  void DrawWeather();
  void Schedule();
  void ScheduleQuiet();
  void Strike(Kind kind);
  void StrikeRecovery();
  void Pause(Host& host, Duration time);
  void Partition();
  void LoseReplies();
  void MakeSluggish();
  void DelayCommands();
  // Several faults in a set order (schemes.cc, sleepers.cc). While one that takes
  // long is under way nothing else is begun.
  void Occupy(Duration time);
  void CutOffPrimary();
  void SleepUnanswered();
  void SleepAcrossRolls();
  void SleepAcrossPark();
  void SleepAcrossSession();
  void BeginUnanswered(ClientNode& client, Duration asleep);
  void LoseMemberOfParked(int tries);
  void Rest();
  void RestartUnnoticed();
  void EchoCommands();
  void LeaveLoneHolder();
  struct Tail {
    ChunkHandle handle;
    ServerNode* primary = nullptr;
    std::vector<ServerNode*> others;
  };
  // One of the chunks that are open; none: nothing is.
  std::optional<Tail> AnyTail();
  // Those that are up.
  std::vector<ServerNode*> MembersOf(const v1::Chunk& chunk);
  void Later(Duration delay, std::function<void()> what);
  void FillDisk();
  void FailSync();
  void FlipBit();
  bool FlipIn(const char* part);
  bool FlipInNewGroups();
  void Harm(const std::string& path, uint64_t offset, bool provable);
  static std::vector<std::string> FilesOf(SimFileSystem& disk, const char* part);
  void HealLater(Duration least, Duration most);
  Duration Between(int least_ms, int most_ms);
  ServerNode& AnyServer();
  ClientNode& AnyClient();
  std::vector<Host*> AllHosts();

  World& world_;
  Kernel& kernel_;
  const Machines machines_;
  const Plot& plot_;
  Duration pace_;
  bool concluding_ = false, over_ = false;
  Duration occupied_until_{};
  ServerNode* harmable_ = nullptr;
  // Dies when it has told what it holds of this chunk.
  ServerNode* lone_holder_ = nullptr;
  ChunkHandle lone_chunk_;
};

}  // namespace appendfs::sim
