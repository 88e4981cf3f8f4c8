#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/digest.h"
#include "verifier/digest_sql.h"
#include "verifier/key_range.h"

namespace teal {

/// The rows with one key, or, in a table without one, the rows that are the same.
struct FoundRow {
  Digest digest;
  KeyValues key;             ///< empty without a key
  bool key_is_null = false;  ///< a part of it is: it cannot be found by that
  std::string version;       ///< differs from an earlier one when any of the rows was written meanwhile
};

/// By identity, which is the key's text or two hashes of the whole row's.
using FoundRows = std::map<std::string, FoundRow>;

/// Where rows are hashed: on the servers, which is fast, or here, where they come as a whole: that needs nothing of the
/// servers but their text. Digests of different ways are not compared with each other.
enum class HashedIn {
  kServer,      ///< ranges by their values, rows by their text
  kServerText,  ///< all by their text
  kClient,
};

/// Reads one side's digests and rows by statements of its own, each of which sees one moment.
/// Threads: one; it uses `connection`, which has to outlive it. Errors: PgError.
class SideReader {
 public:
  SideReader(PgConnection& connection, ComparedOn side, HashedIn hashed)
      : connection_(connection), side_(side), hashed_(hashed) {}

  [[nodiscard]] Digest read_digest(const ComparedTable& table, const KeyRange& range);
  /// One for each slice, in order.
  [[nodiscard]] std::vector<Digest> read_slices(const ComparedTable& table, const KeyRange& range, std::size_t slices);
  [[nodiscard]] FoundRows read_rows(const ComparedTable& table, const KeyRange& range, const Slices& slices);
  /// Those with one of these keys; what is not there is not in it.
  [[nodiscard]] FoundRows read_keys(const ComparedTable& table, const std::vector<KeyValues>& keys);

 private:
  [[nodiscard]] RowForm form() const { return hashed_ == HashedIn::kServer ? RowForm::kValues : RowForm::kText; }
  [[nodiscard]] FoundRows stream_rows(const ComparedTable& table, const std::string& where, const Slices& slices);
  [[nodiscard]] std::string said(const char* what, const ComparedTable& table) const;

  PgConnection& connection_;
  ComparedOn side_;
  HashedIn hashed_;
};

}  // namespace teal
