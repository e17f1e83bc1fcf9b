#include "common/link/parcel_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace appendfs {
namespace {

using Numbers = ParcelQueue<std::vector<int>>;

void Add(Numbers& queue, int number, size_t payload_bytes = 0) {
  queue.Add(payload_bytes, [&](auto& parcel) {
    parcel.header.push_back(number);
    if (payload_bytes > 0) parcel.payload.push_back(Buffer::From(std::string(payload_bytes, 'x')));
  });
}

TEST(ParcelQueue, WhatComesDuringAWrite_SharesTheNextParcel) {
  Numbers queue;
  Add(queue, 1);
  EXPECT_EQ(queue.Take()->header, std::vector<int>({1}));
  Add(queue, 2);
  Add(queue, 3);
  EXPECT_FALSE(queue.Take());  // one write at a time
  queue.Written();
  EXPECT_EQ(queue.Take()->header, std::vector<int>({2, 3}));
}

TEST(ParcelQueue, Parcels_HoldNeitherTooManyBytesNorTooManyItems) {
  Numbers queue;
  for (int i = 0; i < 3; ++i) Add(queue, i, Numbers::kParcelBytes / 2);
  EXPECT_EQ(queue.Take()->header.size(), 2u);
  queue.Written();
  for (size_t i = 0; i < Numbers::kParcelItems; ++i) Add(queue, 7);
  EXPECT_EQ(queue.Take()->header.size(), Numbers::kParcelItems);
  queue.Written();
  EXPECT_EQ(queue.Take()->header.size(), 1u);
}

TEST(ParcelQueue, Alone_SharesWithNobody_AndLastIsTheLast) {
  Numbers queue;
  Add(queue, 1);
  queue.AddAlone([](auto& parcel) { parcel.header.push_back(2); });
  Add(queue, 3);
  queue.AddLast([](auto& parcel) { parcel.header.push_back(4); });
  Add(queue, 5);
  for (int expected = 1; expected <= 4; ++expected) {
    EXPECT_EQ(queue.Take()->header, std::vector<int>({expected}));
    queue.Written();
  }
  EXPECT_FALSE(queue.Take());
}

TEST(ParcelQueue, Crowded_UntilEnoughIsTaken) {
  Numbers queue;
  const size_t parcels = Numbers::kCrowdedBytes / Numbers::kParcelBytes;
  for (size_t i = 0; i < parcels - 1; ++i) Add(queue, 1, Numbers::kParcelBytes);
  EXPECT_FALSE(queue.crowded());
  queue.AddAlone(
      [](auto& parcel) { parcel.payload.push_back(Buffer::From(std::string(2 << 20, 'x'))); });
  EXPECT_TRUE(queue.crowded());
  queue.Take();
  queue.Written();
  EXPECT_TRUE(queue.crowded());  // still 16 MiB, and the items themselves
  queue.Take();
  EXPECT_FALSE(queue.crowded());
}

TEST(ParcelQueue, Closed_DropsWhatWaitsAndWhatComes) {
  Numbers queue;
  Add(queue, 1, 2 * Numbers::kCrowdedBytes);
  queue.Close();
  Add(queue, 2);
  EXPECT_FALSE(queue.Take());
  EXPECT_FALSE(queue.crowded());
}

}  // namespace
}  // namespace appendfs
