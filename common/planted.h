#pragma once

#include <string_view>

// Bugs put into the product on purpose, so that the simulator can be seen to
// find them: `if (PLANTED(kVoteBeforeSync)) ...`. Only a build configured with
// -Dplanted=true has them, one at a time, chosen by name when it starts (programs:
// APPENDFS_PLANT in the environment); in any other build PLANTED is false at compile time and
// nothing of them is left. Each changes one branch; the list below says what it does.
// The number: so many recoveries of a file it takes at least until it can show
// (0: not said); ./dev sim --planted sees to it.

// clang-format off
#define APPENDFS_PLANTED_BUGS(X) \
  X(kAckAfterOneVote, 0, "acknowledge after one vote") \
  X(kVoteBeforeSync, 0, "vote for what is not synced") \
  X(kSkipFence, 0, "answer a fence without promising") \
  X(kAgreeOnShortest, 0, "agree on the shortest length") \
  X(kTruncateInMiddle, 0, "cut at a damaged group in the middle of the journal") \
  X(kReviveDeleted, 0, "let a late create revive a deleted chunk") \
  X(kOldConfirm, 0, "confirm a fresh length by an old round") \
  X(kSealBeforeTwo, 0, "seal before two replicas hold the length") \
  X(kAcceptOldEpoch, 0, "take batches of an old epoch, and vote for them") \
  X(kForgetOnRoll, 0, "forget the memory on a roll") \
  X(kShowUncommitted, 0, "show durable bytes as committed") \
  X(kIgnoreReplayCrc, 0, "replay batches whose checksum is wrong") \
  X(kDuplicateNewOffset, 0, "append a duplicate once more") \
  X(kTooFewAnswers, 0, "recover with one answer too few") \
  X(kAcceptAfterGap, 0, "accept a batch whose predecessor is missing") \
  X(kDefiniteWhenFenced, 0, "answer open batches definitely when fenced") \
  X(kOldVote, 0, "confirm a fresh length by an old vote") \
  X(kTakeOutOfOrder, 0, "take a batch that comes early where the last one ended") \
  X(kGrowPastSealed, 0, "seal a longer replica without cutting it") \
  X(kNoDirectorySync, 0, "do not sync directories") \
  X(kCheckpointUnsynced, 0, "trim the journal before chunk files are synced") \
  X(kRecordBeforeBytes, 0, "note in the journal what is not synced in the chunk file") \
  X(kIgnoreFailedSync, 0, "go on after a failed sync") \
  X(kReplayStaleTail, 0, "replay what an earlier use of a segment left") \
  X(kResendRecut, 0, "cut a batch again when it is sent again") \
  X(kRepeatMutation, 0, "apply a retried namespace operation once more") \
  X(kReopenWithAnswered, 0, "reopen with only those who answered") \
  X(kResumePrimary, 0, "resume as primary after a restart") \
  X(kMergeMemories, 2, "merge the memories of all who answered, then or before") \
  X(kForgetOnReopen, 0, "forget the memory on a reopen") \
  X(kForgetTooEarly, 0, "hand a tail to a client whose memory was let go with its session") \
  X(kForgetOnPark, 0, "forget the memory of a parked chunk that is sealed") \
  X(kOpenTwice, 0, "carry out an order to open a second time") \
  X(kForgetOlder, 2, "hand on what a chunk took itself, not what it was handed") \
  X(kPromiseOnce, 2, "promise the first fence of a chunk only")
// clang-format on

namespace appendfs {

struct PlantedBug {
  const char* name;
  const char* what;
  unsigned recoveries;
};
#define APPENDFS_PLANTED_ROW(name, recoveries, what) {#name, what, recoveries},
inline constexpr PlantedBug kPlantedBugs[] = {APPENDFS_PLANTED_BUGS(APPENDFS_PLANTED_ROW)};
#undef APPENDFS_PLANTED_ROW

#define APPENDFS_PLANTED_NAME(name, recoveries, what) name,
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
