#pragma once

namespace appendfs::sim {

// Hash tables go by addresses: where a table lies in memory, and where the hash's
// seed does, decides the order in which it is iterated, and objects are told apart
// by where they are. Here all that is fixed, so that a seed of the simulator does
// the same wherever, with whatever else in it, and by whomever the program was
// built; and mostly the same when the product has changed a little.
//
// From now on everything that is new lies at addresses that depend only on what was
// asked for before, and no table's address shows in its order. False: the machine
// does not let us; a seed is the same as long as the program is. Not undone: for a
// process that runs one seed. Without effect under sanitizers, which have their own
// idea of memory.
bool FixAddresses();

}  // namespace appendfs::sim
