#include "client/meta_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace appendfs {
namespace {

constexpr InodeId kDirectory(2), kOther(3), kFile(10), kNew(11);

v1::Entry EntryOf(InodeId inode, v1::FileType type = v1::REGULAR) {
  v1::Entry entry;
  entry.mutable_attributes()->set_inode(inode.value());
  entry.mutable_attributes()->set_type(type);
  return entry;
}

class MetaCacheTest : public ::testing::Test {
 protected:
  // What the name is kept to mean: an inode, none ("absent"), or unknown.
  std::string Find(InodeId directory, std::string_view name) {
    const std::optional<v1::Entry> entry = cache_.FindName(directory, name);
    if (!entry) return "unknown";
    return entry->has_attributes() ? std::to_string(entry->attributes().inode()) : "absent";
  }
  void Keep(std::string_view name, InodeId inode) {
    cache_.KeepName(cache_.Draw(), kDirectory, name, EntryOf(inode));
  }

  // What the answer to the change with this index says, the next one by default.
  v1::AfterChange After(uint64_t index = 0, const std::vector<v1::Entry>& entries = {}) {
    v1::AfterChange after;
    after.set_index(index != 0 ? index : ++last_index_);
    last_index_ = std::max(last_index_, after.index());
    for (const v1::Entry& entry : entries) *after.add_entries() = entry;
    return after;
  }
  v1::Entry EntryWithMode(InodeId inode, uint32_t mode) {
    v1::Entry entry = EntryOf(inode, v1::DIRECTORY);
    entry.mutable_attributes()->set_mode(mode);
    return entry;
  }
  uint32_t ModeOf(InodeId inode) {
    const std::optional<v1::Entry> entry = cache_.FindEntry(inode);
    return entry ? entry->attributes().mode() : 0;
  }

  MetaCache cache_;
  uint64_t last_index_ = 0;
};

TEST_F(MetaCacheTest, Answer_IsKept) {
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  Keep("f", kFile);
  cache_.KeepAbsence(cache_.Draw(), kDirectory, "g");
  EXPECT_EQ(Find(kDirectory, "f"), "10");
  EXPECT_EQ(Find(kDirectory, "g"), "absent");
  EXPECT_TRUE(cache_.FindEntry(kFile));
}

TEST_F(MetaCacheTest, Change_DropsAttributesAndNames) {
  Keep("f", kFile);
  cache_.OnOwnChange({kFile});
  EXPECT_FALSE(cache_.FindEntry(kFile));
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  Keep("f", kFile);
  cache_.OnOwnChange({kDirectory});
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  EXPECT_TRUE(cache_.FindEntry(kFile));
}

TEST_F(MetaCacheTest, AnswerOvertakenByAChange_IsNotKept) {
  const MetaCache::Ticket before = cache_.Draw();
  cache_.OnOwnChange({kDirectory});
  cache_.KeepName(before, kDirectory, "f", EntryOf(kFile));
  cache_.KeepAbsence(before, kDirectory, "g");
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  EXPECT_EQ(Find(kDirectory, "g"), "unknown");
  cache_.KeepEntry(before, EntryOf(kFile));
  EXPECT_TRUE(cache_.FindEntry(kFile));  // it was another that changed
}

TEST_F(MetaCacheTest, AnswerThatIsNotWatched_IsNotKept) {
  const MetaCache::Ticket before = cache_.Draw();
  cache_.OnRefused();
  cache_.KeepEntry(before, EntryOf(kFile));
  EXPECT_FALSE(cache_.FindEntry(kFile));
}

TEST_F(MetaCacheTest, LostConnection_LeavesNothing) {
  Keep("f", kFile);
  const MetaCache::Ticket before = cache_.Draw();
  cache_.OnLost();
  cache_.KeepEntry(before, EntryOf(kFile));
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  EXPECT_FALSE(cache_.FindEntry(kFile));
}

TEST_F(MetaCacheTest, FileThatGrows_IsNotKept) {
  Keep("f", kFile);
  v1::Entry growing = EntryOf(kFile);
  growing.mutable_tail()->set_state(v1::OPEN);
  cache_.KeepEntry(cache_.Draw(), growing);
  EXPECT_FALSE(cache_.FindEntry(kFile));
  growing.mutable_tail()->set_state(v1::RECOVERING);
  cache_.KeepName(cache_.Draw(), kDirectory, "f", growing);
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  growing.mutable_tail()->set_state(v1::PARKED);
  cache_.KeepName(cache_.Draw(), kDirectory, "f", growing);
  EXPECT_EQ(Find(kDirectory, "f"), "10");
}

TEST_F(MetaCacheTest, NewDirectory_IsKnownToBeEmpty) {
  cache_.Made(cache_.Draw(), kOther, "d", EntryOf(kDirectory, v1::DIRECTORY), After());
  EXPECT_EQ(Find(kDirectory, "f"), "absent");
  EXPECT_EQ(Find(kOther, "d"), "unknown");  // nothing was known of it
  cache_.Made(cache_.Draw(), kDirectory, "f", EntryOf(kFile), After());
  EXPECT_EQ(Find(kDirectory, "f"), "10");
  EXPECT_EQ(Find(kDirectory, "g"), "absent");
  EXPECT_FALSE(cache_.FindEntry(kDirectory));  // its times are others now
}

TEST_F(MetaCacheTest, OwnChanges_OfOneDirectoryAtOnce_CountInTheirOrder) {
  cache_.Made(cache_.Draw(), kOther, "d", EntryOf(kDirectory, v1::DIRECTORY), After());
  const MetaCache::Ticket first = cache_.Draw(), second = cache_.Draw(), third = cache_.Draw();
  cache_.Removed(third, kDirectory, "f", kFile, After(13, {EntryWithMode(kDirectory, 3)}));
  cache_.Made(first, kDirectory, "f", EntryOf(kFile), After(11, {EntryWithMode(kDirectory, 1)}));
  cache_.Made(second, kDirectory, "g", EntryOf(kNew), After(12, {EntryWithMode(kDirectory, 2)}));
  EXPECT_EQ(Find(kDirectory, "f"), "absent");
  EXPECT_EQ(Find(kDirectory, "g"), "11");
  EXPECT_EQ(ModeOf(kDirectory), 3u);
}

TEST_F(MetaCacheTest, OwnChange_TellsWhatItsDirectoryIsNow) {
  cache_.KeepEntry(cache_.Draw(), EntryWithMode(kDirectory, 1));
  Keep("f", kFile);
  cache_.Removed(cache_.Draw(), kDirectory, "f", kFile, After(5, {EntryWithMode(kDirectory, 2)}));
  EXPECT_EQ(ModeOf(kDirectory), 2u);
  const MetaCache::Ticket before = cache_.Draw();
  cache_.KeepEntry(cache_.Draw(), EntryWithMode(kDirectory, 4));  // perhaps newer
  cache_.Made(before, kDirectory, "f", EntryOf(kFile), After(6, {EntryWithMode(kDirectory, 3)}));
  EXPECT_FALSE(cache_.FindEntry(kDirectory));
}

TEST_F(MetaCacheTest, OwnChangeOfWhatIsWatchedOnlySinceThen_IsAskedFor) {
  const MetaCache::Ticket before = cache_.Draw();
  cache_.KeepEntry(cache_.Draw(), EntryWithMode(kDirectory, 1));
  cache_.Made(before, kDirectory, "f", EntryOf(kFile), After(5, {EntryWithMode(kDirectory, 2)}));
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
  EXPECT_FALSE(cache_.FindEntry(kDirectory));
}

TEST_F(MetaCacheTest, OwnChangeThatWasRepeated_IsAskedFor) {
  Keep("f", kFile);
  cache_.Removed(cache_.Draw(), kDirectory, "f", kFile, {});
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
}

TEST_F(MetaCacheTest, LookupUnderWayDuringAnOwnChange_IsNotKept) {
  const MetaCache::Ticket lookup = cache_.Draw();
  cache_.Made(cache_.Draw(), kDirectory, "f", EntryOf(kFile), After());
  cache_.KeepAbsence(lookup, kDirectory, "f");
  EXPECT_NE(Find(kDirectory, "f"), "absent");
}

TEST_F(MetaCacheTest, OwnChangeWhoseAnswerWasHeldUp_DoesNotHideWhatWasReadMeanwhile) {
  const MetaCache::Ticket removal = cache_.Draw();
  Keep("f", kNew);  // somebody else made it again
  cache_.Removed(removal, kDirectory, "f", kFile, After());
  EXPECT_NE(Find(kDirectory, "f"), "absent");
}

TEST_F(MetaCacheTest, Removed_IsAbsent) {
  Keep("f", kFile);
  cache_.Removed(cache_.Draw(), kDirectory, "f", kFile, After());
  EXPECT_EQ(Find(kDirectory, "f"), "absent");
  EXPECT_FALSE(cache_.FindEntry(kFile));
}

TEST_F(MetaCacheTest, Renamed_TheNamesChange_AttributesAreAskedForUnlessTold) {
  Keep("f", kFile);
  Keep("g", kNew);
  cache_.Renamed(cache_.Draw(), kDirectory, "f", kDirectory, "g", kFile, kNew, false, After());
  EXPECT_EQ(Find(kDirectory, "f"), "absent");
  EXPECT_EQ(Find(kDirectory, "g"), "unknown");
  cache_.KeepEntry(cache_.Draw(), EntryOf(kFile));
  EXPECT_EQ(Find(kDirectory, "g"), "10");
  cache_.Renamed(cache_.Draw(), kDirectory, "g", kDirectory, "f", kFile, InodeId(), false,
                 After(9, {EntryOf(kFile)}));
  EXPECT_EQ(Find(kDirectory, "f"), "10");
}

TEST_F(MetaCacheTest, Exchanged_BothNamesChange) {
  Keep("f", kFile);
  Keep("g", kNew);
  cache_.Renamed(cache_.Draw(), kDirectory, "f", kDirectory, "g", kFile, kNew, true, After());
  cache_.KeepEntry(cache_.Draw(), EntryOf(kFile));
  cache_.KeepEntry(cache_.Draw(), EntryOf(kNew));
  EXPECT_EQ(Find(kDirectory, "f"), "11");
  EXPECT_EQ(Find(kDirectory, "g"), "10");
}

TEST_F(MetaCacheTest, RenamedOntoItsOtherName_BothStay) {
  Keep("f", kFile);
  Keep("g", kFile);
  cache_.Renamed(cache_.Draw(), kDirectory, "f", kDirectory, "g", kFile, kFile, false, After());
  EXPECT_EQ(Find(kDirectory, "f"), "unknown");
}

TEST_F(MetaCacheTest, WholePage_KnowsWhatIsNotThere) {
  v1::ReadDirectoryResponse page;
  v1::DirectoryEntry& listed = *page.add_entries();
  listed.set_name("f");
  listed.set_inode(kFile.value());
  *listed.mutable_entry() = EntryOf(kFile);
  cache_.KeepPage(cache_.Draw(), kDirectory, page, /*whole=*/false);
  EXPECT_EQ(Find(kDirectory, "f"), "10");
  EXPECT_EQ(Find(kDirectory, "g"), "unknown");
  cache_.KeepPage(cache_.Draw(), kDirectory, page, /*whole=*/true);
  EXPECT_EQ(Find(kDirectory, "g"), "absent");
}

TEST_F(MetaCacheTest, TooMuch_StartsOver) {
  cache_.Made(cache_.Draw(), kOther, "d", EntryOf(kDirectory, v1::DIRECTORY), After());
  for (size_t i = 0; i <= MetaCache::kMostNames; ++i)
    cache_.KeepAbsence(cache_.Draw(), kDirectory, std::to_string(i));
  EXPECT_EQ(Find(kDirectory, "0"), "unknown");
}

}  // namespace
}  // namespace appendfs
