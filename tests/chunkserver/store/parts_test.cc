// The small parts of the chunk store: formats, checksums, the tail in memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chunkserver/store/apply_plan.h"
#include "chunkserver/store/block_sums.h"
#include "chunkserver/store/directory_files.h"
#include "chunkserver/store/group.h"
#include "chunkserver/store/layout.h"
#include "chunkserver/store/record.h"
#include "chunkserver/store/sidecar.h"
#include "chunkserver/store/unapplied_tail.h"
#include "common/crc32c.h"
#include "tests/chunkserver/store/store_test_util.h"

namespace appendfs {
namespace {

using layout::kBlockBytes;

TEST(Layout, ParseChunkFileName_EveryKind) {
  using Kind = layout::ChunkFileName::Kind;
  auto parsed = layout::ParseChunkFileName("00000000000002a7.data");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->handle, ChunkHandle(0x2a7));
  EXPECT_EQ(parsed->kind, Kind::kData);
  EXPECT_EQ(layout::ParseChunkFileName("00000000000002a7.meta")->kind, Kind::kSidecar);
  EXPECT_EQ(layout::ParseChunkFileName("00000000000002a7.meta.tmp")->kind, Kind::kUnfinished);
  EXPECT_EQ(layout::ParseChunkFileName("00000000000002a7.data.import")->kind, Kind::kUnfinished);
  for (const char* name : {"", "x", "00000000000002a7", "00000000000002a7.txt", "2a7.data",
                           "0000000000000000.data", "00000000000002g7.data"})
    EXPECT_FALSE(layout::ParseChunkFileName(name)) << name;
  EXPECT_EQ(layout::DataPath("/d", ChunkHandle(0x1ff)), "/d/chunks/ff/00000000000001ff.data");
}

TEST(Identity, Encode_DecodesToTheSame) {
  IdentityFile file{.journal_id = 0xabcdef, .identity = {"uuid", ServerId(7)}};
  auto decoded = DecodeIdentity(EncodeIdentity(file), "f");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->journal_id, 0xabcdefu);
  EXPECT_EQ(decoded->identity.cluster_uuid, "uuid");
  EXPECT_EQ(decoded->identity.server, ServerId(7));
  std::string broken = EncodeIdentity(file);
  broken[broken.find("uuid")] = 'x';
  EXPECT_FALSE(DecodeIdentity(broken, "f").ok());
}

TEST(Records, Encode_DecodesToTheSame) {
  v1::DedupMemory memory;
  memory.add_clients()->set_client_id(8);
  std::vector<JournalRecord> records;
  CreateReplica create = MakeCreate(ChunkHandle(1), Epoch(3));
  create.memory = memory;
  records.emplace_back(create);
  records.emplace_back(AppendRecord{MakeAppend(ChunkHandle(2), 5, "abc", ClientId(4), Sequence(6)),
                                    /*committed_length=*/4});
  records.emplace_back(FenceReplica{ChunkHandle(3), Epoch(9)});
  ConformReplica conform{.handle = ChunkHandle(4),
                         .epoch = Epoch(5),
                         .length = 6,
                         .seal = true,
                         .mtime_ns = 7,
                         .memory = memory};
  records.emplace_back(ConformRecord{conform, 0xdead});
  records.emplace_back(AppendRecord{MakeAppend(ChunkHandle(2), 8, "defg"), 5});
  records.emplace_back(DeleteReplica{ChunkHandle(6)});
  records.emplace_back(DamageRecord{ChunkHandle(7), "why"});
  InPlaceRecord in_place{.batch = MakeAppend(ChunkHandle(8), 65530, RandomBytes(1, 100)),
                         .length = 100,
                         .committed_length = 9};
  in_place.parts = SumParts(65530, in_place.batch.payload.view(), in_place.batch.crc32c);
  records.emplace_back(in_place);
  std::string section;
  for (const JournalRecord& record : records) EncodeRecord(record, section);

  auto decoded = DecodeRecords(section, 8, Buffer::From("abcdefg"));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), records.size());
  std::string again;
  for (const JournalRecord& record : *decoded) EncodeRecord(record, again);
  EXPECT_EQ(again, section);
  EXPECT_EQ(std::get<AppendRecord>((*decoded)[1]).batch.payload.view(), "abc");
  EXPECT_EQ(std::get<AppendRecord>((*decoded)[4]).batch.payload.view(), "defg");
  EXPECT_EQ(std::get<InPlaceRecord>((*decoded)[7]).parts, in_place.parts);
  EXPECT_FALSE(DecodeRecords(section, 7, Buffer::From("abcdefg")).ok());
  EXPECT_FALSE(DecodeRecords(section, 9, Buffer::From("abcdefg")).ok());
  EXPECT_FALSE(DecodeRecords(section, 8, Buffer::From("abcdef")).ok());
}

TEST(Records, Encode_AnAppend_HasTheSizeItIsCountedWith) {
  std::string section;
  EncodeRecord(AppendRecord{MakeAppend(ChunkHandle(2), 5, "abc"), 4}, section);
  EXPECT_EQ(section.size(), kAppendRecordBytes);
  for (const auto& [offset, length] :
       {std::pair(0, 65536), {0, 65537}, {65535, 65537}, {1, 65536}}) {
    InPlaceRecord in_place{.batch = MakeAppend(ChunkHandle(2), offset, std::string(length, 'x')),
                           .length = static_cast<uint32_t>(length)};
    in_place.parts = SumParts(offset, in_place.batch.payload.view(), in_place.batch.crc32c);
    section.clear();
    EncodeRecord(in_place, section);
    EXPECT_EQ(section.size(), InPlaceRecordBytes(offset, length));
  }
}

TEST(Group, Finish_IsAlignedAndDecodes) {
  GroupWriter writer;
  const std::string large = RandomBytes(1, 5000);
  writer.records() = "records";
  for (std::string_view payload :
       {std::string_view("small"), std::string_view(large), std::string_view("er")}) {
    writer.CountRecord();
    writer.AddPayload(Buffer::From(std::string(payload)));
  }
  std::string all;
  for (std::string_view part :
       writer.Finish({.journal_id = 1, .sequence = 9, .previous = 7, .durable = 6}))
    all += part;
  EXPECT_EQ(all.size() % layout::kGroupAlignment, 0u);
  EXPECT_EQ(all.size(), writer.aligned_bytes());
  auto header = GroupHeader::Decode(all);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->sequence, 9u);
  EXPECT_EQ(header->previous, 7u);
  EXPECT_EQ(header->durable, 6u);
  EXPECT_EQ(header->records, 3u);
  EXPECT_EQ(all.substr(GroupHeader::kBytes, header->total_bytes() - GroupHeader::kBytes),
            "recordssmall" + large + "er");
  for (size_t i = 0; i < GroupHeader::kBytes; ++i) {
    std::string flipped = all;
    flipped[i] ^= 4;
    EXPECT_FALSE(GroupHeader::Decode(flipped)) << i;
  }
}

TEST(SidecarFormat, EveryFlippedBit_IsNoticed) {
  Sidecar sidecar;
  sidecar.cluster_uuid = "uuid";
  sidecar.identity = {
      .handle = ChunkHandle(3), .inode = InodeId(4), .base_offset = 5, .capacity = 1 << 20};
  sidecar.epoch = Epoch(6);
  sidecar.sealed = true;
  sidecar.length = kBlockBytes + 1;
  sidecar.block_crc32c = {1, 2};
  sidecar.sequence = 77;
  sidecar.memory.add_clients()->set_client_id(8);
  const std::string bytes = EncodeSidecar(sidecar);
  auto decoded = DecodeSidecar(bytes, "f", ChunkHandle(3));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(EncodeSidecar(*decoded), bytes);
  EXPECT_FALSE(DecodeSidecar(bytes, "f", ChunkHandle(4)).ok());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] ^= 0x10;
    EXPECT_FALSE(DecodeSidecar(flipped, "f", ChunkHandle(3)).ok()) << i;
    EXPECT_FALSE(DecodeSidecar(bytes.substr(0, i), "f", ChunkHandle(3)).ok()) << i;
  }
}

TEST(BlockSums, AppendsAndCuts_SumWhatIsThere) {
  std::mt19937_64 random(1);
  std::string bytes;
  BlockSums sums;
  for (int i = 0; i < 300; ++i) {
    if (random() % 10 == 0) {
      const uint64_t length = random() % (bytes.size() + 1);
      bytes.resize(length);
      sums.CutTo(length,
                 Crc32c(std::string_view(bytes).substr(length / kBlockBytes * kBlockBytes)));
    }
    std::string more = RandomBytes(random(), 1 + random() % (random() % 5 == 0 ? 200000 : 3000));
    PartSums parts = SumParts(bytes.size(), more, Crc32c(more));
    EXPECT_EQ(CombineParts(bytes.size(), more.size(), parts), Crc32c(more));
    sums.Append(more.size(), parts);
    bytes += more;
    ASSERT_EQ(sums.length(), bytes.size());
    for (size_t block = 0; block < sums.sums().size(); ++block)
      ASSERT_EQ(sums.sums()[block],
                Crc32c(std::string_view(bytes).substr(block * kBlockBytes, kBlockBytes)));
    ASSERT_EQ(sums.Whole(bytes.size()), Crc32c(bytes));
    bytes.resize(bytes.size());
    if (bytes.size() > (1 << 20)) {
      bytes.clear();
      sums.CutTo(0, 0);
    }
  }
}

std::string Join(const std::vector<UnappliedTail::Piece>& pieces) {
  std::string all;
  for (const UnappliedTail::Piece& piece : pieces) all += piece.bytes.view();
  return all;
}

TEST(UnappliedTail, Pieces_OfAnyRange_AreTheBytes) {
  UnappliedTail tail;
  std::string bytes;
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string more = RandomBytes(random(), 1 + random() % (random() % 20 == 0 ? 40000 : 400));
    tail.Append(bytes.size(), Buffer::From(more));
    bytes += more;
  }
  uint64_t dropped = 0;
  for (int i = 0; i < 300; ++i) {
    uint64_t from = dropped + random() % (bytes.size() - dropped);
    uint64_t to = from + random() % (bytes.size() - from + 1);
    ASSERT_EQ(Join(tail.Pieces(from, to)), bytes.substr(from, to - from));
    if (i % 20 == 0) tail.DropBelow(dropped += 1000);
  }
}

TEST(UnappliedTail, Cut_PiecesInHandDoNotChange) {
  UnappliedTail tail;
  tail.Append(0, Buffer::From("kept, then cut"));
  auto pieces = tail.Pieces(0, 14);
  tail.CutTo(5);
  tail.Append(5, Buffer::From("other bytes"));
  EXPECT_EQ(Join(pieces), "kept, then cut");
  EXPECT_EQ(Join(tail.Pieces(0, 16)), "kept,other bytes");
}

TEST(ApplyPlan, CutBetweenPlanAndFinish_CountsForNothing) {
  StoredReplica replica;
  replica.Apply(MakeCreate(ChunkHandle(1)), 1);
  replica.Apply(MakeAppend(ChunkHandle(1), 0, "0123456789"), {Crc32c("0123456789")}, 2);
  ApplyPlan plan = PlanApply(replica, 10);
  replica.Apply(
      ConformRecord{{.handle = ChunkHandle(1), .epoch = Epoch(2), .length = 4}, Crc32c("0123")}, 3);
  replica.Apply(MakeAppend(ChunkHandle(1), 4, "abcdefgh"), {Crc32c("abcdefgh")}, 4);
  FinishApply(plan, replica);
  EXPECT_EQ(replica.applied(), 0u);
  EXPECT_EQ(Join(replica.tail().Pieces(0, 12)), "0123abcdefgh");
  plan = PlanApply(replica, 12);
  EXPECT_TRUE(plan.truncate);  // the file holds bytes of the first plan
  FinishApply(plan, replica);
  EXPECT_EQ(replica.applied(), 12u);
  EXPECT_FALSE(replica.file_too_long());
}

TEST(Tombstones, Add_TooMany_EverythingBelowTheMiddleCountsAsDeleted) {
  Tombstones tombstones;
  for (uint64_t i = 0; i <= Tombstones::kMost; ++i) tombstones.Add(ChunkHandle(1000 + 2 * i));
  EXPECT_LE(tombstones.handles().size(), Tombstones::kMost / 2 + 1);
  EXPECT_TRUE(tombstones.Contains(ChunkHandle(7)));
  EXPECT_TRUE(tombstones.Contains(ChunkHandle(1001)));
  EXPECT_TRUE(tombstones.Contains(ChunkHandle(1000 + 2 * Tombstones::kMost)));
  EXPECT_FALSE(tombstones.Contains(ChunkHandle(1001 + 2 * Tombstones::kMost)));
}

}  // namespace
}  // namespace appendfs
