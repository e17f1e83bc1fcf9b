#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "master/layout.h"
#include "master/memory_tables.h"
#include "master/overlay.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;

TEST(Layout, Keys_SortAsTheirNumbersDo) {
  EXPECT_LT(layout::IdKey(InodeId(255)), layout::IdKey(InodeId(256)));
  EXPECT_LT(layout::ChunkKey(InodeId(7), 9), layout::ChunkKey(InodeId(7), 10));
  EXPECT_LT(layout::ChunkKey(InodeId(7), ~0u), layout::ChunkKey(InodeId(8), 0));
  EXPECT_LT(layout::ResultKey(ClientId(1), 255), layout::ResultKey(ClientId(1), 256));
}

TEST(Layout, Keys_DecodeWhatWasEncoded) {
  EXPECT_EQ(layout::DecodeIdKey<InodeId>(layout::IdKey(InodeId(0x123456789abcdef0))),
            InodeId(0x123456789abcdef0));
  EXPECT_EQ(layout::DecodeNumber("short"), std::nullopt);
  EXPECT_EQ(layout::DentryName(layout::DentryKey(InodeId(3), "name")), "name");
  EXPECT_EQ(layout::ResultSequence(layout::ResultKey(ClientId(9), 12)), 12u);
}

std::vector<std::string> ScanKeys(const KeyValueReader& tables, std::string_view prefix,
                                  std::string_view from, size_t limit = 100) {
  std::vector<std::string> found;
  EXPECT_TRUE(tables
                  .Scan(Table::kDentries, prefix, from,
                        [&](std::string_view key, std::string_view value) {
                          found.push_back(std::string(key) + "=" + std::string(value));
                          return found.size() < limit;
                        })
                  .ok());
  return found;
}

TEST(Overlay, Scan_MergesChangesWithWhatIsBelow) {
  auto tables = MakeMemoryTables();
  Overlay first(tables.get());
  for (const char* key : {"a1", "a3", "a5", "b1"}) first.Put(Table::kDentries, key, "old");
  ASSERT_TRUE(tables->Commit(first).ok());

  Overlay below(tables.get());
  below.Put(Table::kDentries, "a2", "new");
  below.Delete(Table::kDentries, "a3");
  Overlay above(&below);
  above.Put(Table::kDentries, "a5", "changed");
  above.Put(Table::kDentries, "a6", "new");
  above.Delete(Table::kDentries, "a2");

  EXPECT_THAT(ScanKeys(below, "a", ""), ElementsAre("a1=old", "a2=new", "a5=old"));
  EXPECT_THAT(ScanKeys(above, "a", ""), ElementsAre("a1=old", "a5=changed", "a6=new"));
  EXPECT_THAT(ScanKeys(above, "a", "a2"), ElementsAre("a5=changed", "a6=new"));
  EXPECT_THAT(ScanKeys(above, "", "", 2), ElementsAre("a1=old", "a5=changed"));
  EXPECT_EQ(above.Get(Table::kDentries, "a3").value(), std::nullopt);

  above.MoveInto(below);
  EXPECT_TRUE(above.empty());
  ASSERT_TRUE(tables->Commit(below).ok());
  EXPECT_THAT(ScanKeys(*tables, "", ""), ElementsAre("a1=old", "a5=changed", "a6=new", "b1=old"));
}

TEST(MemoryTables, Snapshot_DoesNotMove) {
  auto tables = MakeMemoryTables();
  std::unique_ptr<KeyValueReader> before = tables->Snapshot();
  Overlay changes(tables.get());
  changes.Put(Table::kDentries, "a", "1");
  ASSERT_TRUE(tables->Commit(changes).ok());
  EXPECT_THAT(ScanKeys(*before, "", ""), ElementsAre());
  EXPECT_THAT(ScanKeys(*tables->Snapshot(), "", ""), ElementsAre("a=1"));
}

}  // namespace
}  // namespace appendfs
