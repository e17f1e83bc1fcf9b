#pragma once

#include <string_view>

// Bugs put into the product on purpose, so that the simulator can be seen to
// find them: `if (PLANTED(kVoteBeforeSync)) ...`. Only a build configured with
// -Dplanted=true has them, one at a time, chosen by name when it starts (programs:
// APPENDFS_PLANT in the environment); in any other build PLANTED is false at compile time and
// nothing of them is left. Each changes one branch; the list below says what it does.

// clang-format off
#define APPENDFS_PLANTED_BUGS(X) \
  X(kAckAfterOneVote, "acknowledge after one vote") \
  X(kVoteBeforeSync, "vote for what is not synced") \
  X(kSkipFence, "answer a fence without promising") \
  X(kAgreeOnShortest, "agree on the shortest length") \
  X(kTruncateInMiddle, "cut at a damaged group in the middle of the journal") \
  X(kReviveDeleted, "let a late create revive a deleted chunk") \
  X(kOldConfirm, "confirm a fresh length by an old round") \
  X(kSealBeforeTwo, "seal before two replicas hold the length") \
  X(kAcceptOldEpoch, "take batches of an old epoch") \
  X(kForgetOnRoll, "forget the memory on a roll") \
  X(kShowUncommitted, "show durable bytes as committed") \
  X(kIgnoreReplayCrc, "replay batches whose checksum is wrong") \
  X(kDuplicateNewOffset, "append a duplicate once more") \
  X(kTooFewAnswers, "recover with one answer too few") \
  X(kAcceptAfterGap, "accept a batch whose predecessor is missing") \
  X(kDefiniteWhenFenced, "answer open batches definitely when fenced") \
  X(kKeepVotesOfOldEpoch, "count votes of another epoch") \
  X(kTakeOutOfOrder, "take a batch that comes early where the last one ended") \
  X(kGrowPastSealed, "seal a longer replica without cutting it") \
  X(kNoDirectorySync, "do not sync directories") \
  X(kCheckpointUnsynced, "trim the journal before chunk files are synced") \
  X(kIgnoreFailedSync, "go on after a failed sync") \
  X(kReplayStaleTail, "replay what an earlier use of a segment left") \
  X(kResendRecut, "cut a batch again when it is sent again") \
  X(kRepeatMutation, "apply a retried namespace operation once more") \
  X(kReopenWithAnswered, "reopen with only those who answered") \
  X(kResumePrimary, "resume as primary after a restart") \
  X(kMergeMemories, "merge the memories of all who answered") \
  X(kForgetOnReopen, "forget the memory on a reopen") \
  X(kForgetTooEarly, "hand a tail to a client whose memory was let go with its session") \
  X(kForgetOnPark, "forget the memory of a parked chunk that is sealed") \
  X(kOpenTwice, "carry out an order to open a second time")
// clang-format on

namespace appendfs {

struct PlantedBug {
  const char* name;
  const char* what;
};
#define APPENDFS_PLANTED_ROW(name, what) {#name, what},
inline constexpr PlantedBug kPlantedBugs[] = {APPENDFS_PLANTED_BUGS(APPENDFS_PLANTED_ROW)};
#undef APPENDFS_PLANTED_ROW

#define APPENDFS_PLANTED_NAME(name, what) name,
enum class Planted { kNothing, APPENDFS_PLANTED_BUGS(APPENDFS_PLANTED_NAME) };
#undef APPENDFS_PLANTED_NAME

#ifdef APPENDFS_PLANTED
inline constexpr bool kPlantedBuild = true;
inline Planted planted_now = Planted::kNothing;
// False: there is no such bug.
inline bool Plant(std::string_view name) {
  int number = 0;
  for (const PlantedBug& bug : kPlantedBugs) {
    ++number;
    if (name == bug.name) return planted_now = static_cast<Planted>(number), true;
  }
  return false;
}
#define PLANTED(name) (::appendfs::planted_now == ::appendfs::Planted::name)
#else
inline constexpr bool kPlantedBuild = false;
inline bool Plant(std::string_view) { return false; }
#define PLANTED(name) false
#endif

}  // namespace appendfs
