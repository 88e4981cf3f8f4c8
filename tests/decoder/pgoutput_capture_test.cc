// Real messages: captured from PostgreSQL 15.20 with pg_logical_slot_get_binary_changes, proto_version 1, messages on.
// They check the parser and, rebuilt byte for byte, the builder that all other tests stand on. The source ran:
//
//   create type mood as enum ('sad', 'ok');
//   create table item (id int primary key, note text, feeling mood, big text);
//   alter table item alter column big set storage external;
//   create table log (line text);  alter table log replica identity full;
//   insert into item values (1, null, 'ok', repeat('x', 3000));
//   update item set note = 'a' where id = 1;  update item set id = 2 where id = 1;  delete from item where id = 2;
//   begin; insert into log values ('\u00e9'); update log set line = 'b'; delete from log; commit;
//   truncate item, log restart identity cascade;
//   a transactional message ("prefix", "content"), a non-transactional one ("outside", "x");
//   as origin teal_demo_blue_to_green, with commit 16/B374D848 of 2025-01-02 03:04:05+00: insert into log ('own');
//   an empty transactional message
#include <gtest/gtest.h>

#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoder/pgoutput.h"
#include "decoder/transaction_assembler.h"
#include "tests/decoder/message_cases.h"

namespace teal {
namespace {

using test::Bytes;

struct Captured {
  std::string_view lsn;
  std::string_view hex;
  std::size_t xs = 0;  ///< times 'x' after `hex`: the tail of the large value
};

// clang-format off
constexpr Captured kCaptured[] = {
    {"0/1543848", "420000000001543940000303b2f629a019000002da"},
    {"0/1543848", "59000040017075626c6963006d6f6f6400"},
    {"0/1543848", "52000040057075626c6963006974656d006400040169640000000017ffffffff006e6f74650000000019ffffff"
     "ff006665656c696e670000004001ffffffff006269670000000019ffffffff"},
    {"0/1543848", "49000040054e00047400000001316e74000000026f6b7400000bb8", 3000},
    {"0/1543970", "430000000000015439400000000001543970000303b2f629a019"},
    {"0/15439A8", "420000000001543a08000303b2f629a1b0000002db"},
    {"0/15439A8", "55000040054e000474000000013174000000016174000000026f6b75"},
    {"0/1543A38", "43000000000001543a080000000001543a38000303b2f629a1b0"},
    {"0/1543A70", "420000000001543b20000303b2f629a21b000002dc"},
    {"0/1543A70", "55000040054b00047400000001316e6e6e4e000474000000013274000000016174000000026f6b75"},
    {"0/1543B50", "43000000000001543b200000000001543b50000303b2f629a21b"},
    {"0/1543B50", "420000000001543c00000303b2f629a276000002dd"},
    {"0/1543B50", "44000040054b00047400000001326e6e6e"},
    {"0/1543C30", "43000000000001543c000000000001543c30000303b2f629a276"},
    {"0/1543C30", "420000000001543d00000303b2f629a3e8000002de"},
    {"0/1543C30", "520000400c7075626c6963006c6f6700660001016c696e650000000019ffffffff"},
    {"0/1543C30", "490000400c4e00017400000002c3a9"},
    {"0/1543C70", "550000400c4f00017400000002c3a94e0001740000000162"},
    {"0/1543CC0", "440000400c4f0001740000000162"},
    {"0/1543D30", "43000000000001543d000000000001543d30000303b2f629a3e8"},
    {"0/15450C8", "4200000000015450f8000303b2f629a5aa000002df"},
    {"0/15450C8", "59000040017075626c6963006d6f6f6400"},
    {"0/15450C8", "52000040057075626c6963006974656d006400040169640000000017ffffffff006e6f74650000000019ffffff"
     "ff006665656c696e670000004001ffffffff006269670000000019ffffffff"},
    {"0/15450C8", "520000400c7075626c6963006c6f6700660001016c696e650000000019ffffffff"},
    {"0/15450C8", "540000000203000040050000400c"},
    {"0/1545338", "430000000000015450f80000000001545338000303b2f629a5aa"},
    {"0/1545378", "420000000001545378000303b2f629a719000002e0"},
    {"0/1545378", "4d0100000000015453787072656669780000000007636f6e74656e74"},
    {"0/15453A8", "4300000000000154537800000000015453a8000303b2f629a719"},
    {"0/15453E8", "4d0000000000015453e86f757473696465000000000178"},
    {"0/1545668", "4200000000015456a80002cdaf2f013340000002e2"},
    {"0/1545668", "4f00000016b374d8487465616c5f64656d6f5f626c75655f746f5f677265656e00"},
    {"0/1545668", "520000400c7075626c6963006c6f6700660001016c696e650000000019ffffffff"},
    {"0/1545668", "490000400c4e000174000000036f776e"},
    {"0/15456F0", "430000000000015456a800000000015456f00002cdaf2f013340"},
    {"0/1545728", "420000000001545728000303b2f629aa74000002e3"},
    {"0/1545728", "4d0100000000015457280000000000"},
    {"0/1545758", "430000000000015457280000000001545758000303b2f629aa74"},
};
// clang-format on

unsigned digit(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); }

Bytes bytes_of(const Captured& captured) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < captured.hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(digit(captured.hex[i]) << 4U | digit(captured.hex[i + 1])));
  }
  bytes.insert(bytes.end(), captured.xs, std::byte{'x'});
  return bytes;
}

/// The capture as an assembler sees it: each message with the LSN that the server gave it.
std::vector<TransactionSlice> assembled_capture() {
  TransactionAssembler assembler({.own_origin_prefix = "teal_demo_"});
  std::vector<TransactionSlice> slices;
  for (const Captured& captured : kCaptured) {
    for (auto& slice : test::feed(assembler, {bytes_of(captured)}, parse_lsn(captured.lsn).value())) {
      slices.push_back(std::move(slice));
    }
  }
  return slices;
}

TEST(PgoutputCapture, EveryCapturedMessageIsReadAndRebuiltByteForByte) {
  for (const Captured& captured : kCaptured) {
    const Bytes bytes = bytes_of(captured);
    std::pmr::monotonic_buffer_resource arena;
    const auto parsed = parse_message(bytes, arena);
    ASSERT_TRUE(parsed.has_value()) << captured.hex << ": " << to_string(parsed.error());
    EXPECT_EQ(test::rebuild(*parsed), bytes) << captured.hex;
  }
}

TEST(PgoutputCapture, AssemblesToTheTransactionsThatRan) {
  const std::vector<TransactionSlice> slices = assembled_capture();
  ASSERT_EQ(slices.size(), 9U);
  const std::vector<std::size_t> changes{1, 1, 1, 1, 3, 1, 0, 0, 0};
  const std::vector<std::uint64_t> received{1, 1, 1, 1, 3, 2, 0, 1, 0};
  for (std::size_t i = 0; i < slices.size(); ++i) {
    EXPECT_TRUE(slices[i].first && slices[i].last) << i;
    EXPECT_EQ(slices[i].changes.size(), changes[i]) << i;
    EXPECT_EQ(slices[i].counts.received, received[i]) << i;
  }
  EXPECT_EQ(slices[0].changes[0].new_tuple[3].size, 3000U);
  EXPECT_EQ(slices[1].changes[0].new_tuple[3].kind, ColumnKind::kUnchangedToast);
  EXPECT_EQ(slices[2].changes[0].old_kind, OldTupleKind::kKey);
  EXPECT_EQ(slices[4].changes[1].old_kind, OldTupleKind::kFull);
  EXPECT_EQ(slices[4].changes[1].old_tuple[0].text(), "\u00e9");
  EXPECT_EQ(slices[5].changes[0].truncated.size(), 2U);
  EXPECT_EQ(slices[5].changes[0].truncate_flags, kTruncateCascade | kTruncateRestartIdentity);
}

// A6: measured, not assumed. Begin, Relation and the first row carry one LSN.
TEST(PgoutputCapture, BeginSharesItsLsnWithTheFirstRow) {
  EXPECT_EQ(kCaptured[0].lsn, kCaptured[3].lsn);
  EXPECT_EQ(assembled_capture()[0].changes[0].lsn, parse_lsn(kCaptured[0].lsn));
}

TEST(PgoutputCapture, OwnTransactionCarriesWhereItWasCommittedFirst) {
  const std::vector<TransactionSlice> slices = assembled_capture();
  const TransactionFacts& facts = slices[7].facts;
  EXPECT_TRUE(facts.own);
  ASSERT_TRUE(facts.origin.has_value());
  EXPECT_EQ(facts.origin->name, "teal_demo_blue_to_green");
  EXPECT_EQ(to_string(facts.origin->lsn), "16/B374D848");
  EXPECT_EQ(facts.commit_time.us / 1'000'000 + kPostgresEpochUnixSeconds, 1'735'787'045) << "the time it was given";
  EXPECT_EQ(slices[7].counts.own, 1U);
}

}  // namespace
}  // namespace teal
