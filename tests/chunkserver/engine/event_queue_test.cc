#include "chunkserver/engine/event_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace appendfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ChunkEvent Event(uint64_t handle) {
  return {ChunkEvent::Kind::kReplicaLagging, ChunkHandle(handle), Epoch(1), ServerId(2)};
}

TEST(EventQueue, Post_SameEventTwice_IsOne) {
  EventQueue queue;
  queue.Post(Event(1));
  queue.Post(Event(2));
  queue.Post(Event(1));
  EXPECT_EQ(queue.Wait(seconds(1), 10).size(), 2u);
}

TEST(EventQueue, Wait_KeepsEventsUntilAcknowledged) {
  EventQueue queue;
  for (uint64_t i = 1; i <= 3; ++i) queue.Post(Event(i));
  EXPECT_EQ(queue.Wait(seconds(1), 2).size(), 2u);
  EXPECT_EQ(queue.Wait(seconds(1), 2).front(), Event(1));
  queue.Acknowledge(2);
  EXPECT_EQ(queue.Wait(seconds(1), 2).front(), Event(3));
}

TEST(EventQueue, Wait_Nothing_ReturnsAfterThePatience) {
  EventQueue queue;
  EXPECT_TRUE(queue.Wait(milliseconds(1), 2).empty());
}

TEST(EventQueue, Close_WakesTheWaiter) {
  EventQueue queue;
  std::thread waiter([&] { queue.Pause(seconds(60)); });
  queue.Close();
  waiter.join();
  EXPECT_TRUE(queue.closed());
}

}  // namespace
}  // namespace appendfs
