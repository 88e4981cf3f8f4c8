#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/tuple.h"

namespace teal::test {

// What two decoders of the same WAL can both say, in one form, so that they can be compared.

/// `value` has the text of kText; a NULL of an old row is left out, because test_decoding leaves it out.
struct DecodedColumn {
  std::string name;
  std::string type;  ///< as format_type writes it, without its modifier
  ColumnKind kind = ColumnKind::kNull;
  std::string value;

  friend bool operator==(const DecodedColumn&, const DecodedColumn&) = default;
};

struct DecodedChange {
  Lsn lsn;
  std::string op;                   ///< INSERT, UPDATE, DELETE, TRUNCATE
  std::vector<std::string> tables;  ///< schema, a zero byte, name; several of a TRUNCATE
  std::vector<DecodedColumn> old_row;
  std::vector<DecodedColumn> new_row;
  bool cascade = false;
  bool restart_identity = false;

  friend bool operator==(const DecodedChange&, const DecodedChange&) = default;
};

struct DecodedTransaction {
  Xid xid;
  Lsn end_lsn;
  std::string commit_time;  ///< UTC, six digits after the point
  std::vector<DecodedChange> changes;

  friend bool operator==(const DecodedTransaction&, const DecodedTransaction&) = default;
};

/// In commit order.
using DecodedWal = std::vector<DecodedTransaction>;

[[nodiscard]] inline std::string decoded_table(std::string_view schema, std::string_view name) {
  return std::string(schema) + '\0' + std::string(name);
}

/// The first place where two decodings differ, in words; "" when they are equal. `a_name` and `b_name` say whose is
/// whose.
[[nodiscard]] std::string first_difference(const DecodedWal& a, const DecodedWal& b, const std::string& a_name,
                                           const std::string& b_name);

}  // namespace teal::test
