#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace appendfs {

// What clients keep of names, against a model of one master, its log and links
// that are slow, break and carry answers that come too late, in any
// interleaving: a client that believes what it keeps never knows anything that
// was changed before some change was returned to whoever made it; and when
// nothing is under way any more, all know what the master knows.

// Rules that a client must keep; each is broken in a run of its own, to see
// that the run notices.
enum class Broken { kNothing, kAnswerToNobody, kRefused, kTicket, kLost, kOrder };

// The first of the seeds, from 1 on, that goes wrong, and how; 0: none does.
// `kept`: how many things that were kept have been looked at.
std::pair<uint64_t, std::string> FirstWrong(Broken broken, uint64_t seeds,
                                            uint64_t* kept = nullptr);

}  // namespace appendfs
