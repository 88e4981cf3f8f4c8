#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "decoder/lsn.h"
#include "tests/support/decoded_wal.h"

namespace teal::test {

/// One row of pg_logical_slot_peek_changes.
struct TestDecodingRow {
  Lsn lsn;
  std::string data;
};

/// Reads what the plugin test_decoding wrote with include-xids and include-timestamp, under pinned output settings and
/// with search_path empty. Transactions without a change, and messages, are left out.
/// Errors: std::runtime_error with the row, for everything that it does not know: a judge must not guess.
/// Source: what the plugin of PostgreSQL 13 to 18 writes; its tests' expected outputs.
[[nodiscard]] DecodedWal parse_test_decoding(const std::vector<TestDecodingRow>& rows);

}  // namespace teal::test
