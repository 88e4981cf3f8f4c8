// A row's text is, one of:
//   BEGIN 742
//   table public.item: INSERT: id[integer]:1 note[text]:'it''s' doc[text]:unchanged-toast-datum
//   table public.item: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 note[text]:null
//   table public.a, public."b c": TRUNCATE: restart_seqs cascade
//   message: ...
//   COMMIT 742 (at 2026-11-20 12:00:00.5+00)
// Names are quoted as SQL quotes them; a number, a boolean, null and unchanged-toast-datum stand bare, bits as B'101'.
#include "tests/support/test_decoding_text.h"

#include <charconv>
#include <stdexcept>
#include <utility>

namespace teal::test {
namespace {

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text), rest_(text) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] bool skip(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void expect(std::string_view word) {
    if (!skip(word)) fail("expected \"" + std::string(word) + "\"");
  }
  /// Everything up to the first of `ends`, or to the end.
  std::string_view until(std::string_view ends) {
    const std::string_view taken = rest_.substr(0, rest_.find_first_of(ends));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  /// A quoted piece with its quotes doubled inside; the cursor stands at the first quote.
  std::string quoted(char quote) {
    std::string out;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == quote) {
        if (i + 1 >= rest_.size() || rest_[i + 1] != quote) {
          rest_.remove_prefix(i + 1);
          return out;
        }
        ++i;
      }
      out += rest_[i];
    }
    fail("a quote is not closed");
  }
  std::string identifier() {
    if (rest_.starts_with('"')) return quoted('"');
    const std::string_view name = until(".[:, ");
    if (name.empty()) fail("expected a name");
    return std::string(name);
  }
  /// A type's name up to the bracket that closes it: brackets of arrays and quoted names may stand inside.
  std::string type() {
    std::size_t depth = 0;
    bool quotes = false;
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == '"') quotes = !quotes;
      if (quotes) continue;
      if (rest_[i] == '[') ++depth;
      if (rest_[i] != ']') continue;
      if (depth == 0) {
        std::string name(rest_.substr(0, i));
        rest_.remove_prefix(i);
        return name;
      }
      --depth;
    }
    fail("a type is not closed");
  }
  [[nodiscard]] char next() const { return rest_.empty() ? '\0' : rest_.front(); }
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error("test_decoding's row can't be read, at byte " +
                             std::to_string(text_.size() - rest_.size()) + ": " + why + ": " +
                             std::string(text_.substr(0, 2000)));
  }

 private:
  std::string_view text_;
  std::string_view rest_;
};

DecodedColumn parse_value(Cursor& cursor, DecodedColumn column) {
  column.kind = ColumnKind::kText;
  if (cursor.next() == '\'') {
    column.value = cursor.quoted('\'');
    return column;
  }
  if (cursor.next() == 'B') {
    cursor.expect("B");
    column.value = cursor.quoted('\'');
    return column;
  }
  const std::string_view bare = cursor.until(" ");
  if (bare.empty()) cursor.fail("expected a value");
  if (bare == "null") {
    column.kind = ColumnKind::kNull;
  } else if (bare == "unchanged-toast-datum") {
    column.kind = ColumnKind::kUnchangedToast;
  } else if (column.type == "boolean") {
    if (bare != "true" && bare != "false") cursor.fail("expected a boolean");
    column.value = bare.substr(0, 1);
  } else {
    column.value = bare;
  }
  return column;
}

std::vector<DecodedColumn> parse_columns(Cursor& cursor) {
  std::vector<DecodedColumn> columns;
  while (!cursor.at_end()) {
    Cursor ahead = cursor;
    ahead.expect(" ");
    if (ahead.skip("new-tuple:")) break;
    DecodedColumn column;
    column.name = ahead.identifier();
    ahead.expect("[");
    column.type = ahead.type();
    ahead.expect("]:");
    columns.push_back(parse_value(ahead, std::move(column)));
    cursor = ahead;
  }
  return columns;
}

void parse_truncate(Cursor& cursor, DecodedChange& change) {
  if (cursor.skip(" (no-flags)")) return;
  change.restart_identity = cursor.skip(" restart_seqs");
  change.cascade = cursor.skip(" cascade");
}

DecodedChange parse_change(Cursor& cursor, Lsn lsn) {
  DecodedChange change;
  change.lsn = lsn;
  do {
    std::string schema = cursor.identifier();
    cursor.expect(".");
    change.tables.push_back(decoded_table(schema, cursor.identifier()));
  } while (cursor.skip(", "));
  cursor.expect(": ");
  change.op = cursor.until(":");
  cursor.expect(":");
  if (change.op == "TRUNCATE") {
    parse_truncate(cursor, change);
  } else if (change.op == "INSERT") {
    change.new_row = parse_columns(cursor);
  } else if (change.op == "DELETE") {
    change.old_row = parse_columns(cursor);
  } else if (change.op == "UPDATE") {
    if (cursor.skip(" old-key:")) {
      change.old_row = parse_columns(cursor);
      cursor.expect(" new-tuple:");
    }
    change.new_row = parse_columns(cursor);
  } else {
    cursor.fail("unknown operation");
  }
  if (!cursor.at_end()) cursor.fail("something follows");
  return change;
}

Xid parse_xid(Cursor& cursor) {
  const std::string_view text = cursor.until(" ");
  Xid xid;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), xid.value);
  if (error != std::errc{} || end != text.data() + text.size()) cursor.fail("expected an xid");
  return xid;
}

// timestamptz leaves zeros at the end of the fraction out.
std::string full_time(std::string_view text) {
  const std::size_t zone = text.rfind('+');
  std::string time(text.substr(0, zone));
  if (time.find('.') == std::string::npos) time += ".";
  while (time.size() - time.find('.') <= 6) time += "0";
  return time + std::string(text.substr(zone));
}

std::string parse_commit_time(Cursor& cursor) {
  cursor.expect(" (at ");
  const std::string_view time = cursor.until(")");
  cursor.expect(")");
  if (!time.ends_with("+00")) cursor.fail("the time is not in UTC");
  return full_time(time);
}

}  // namespace

DecodedWal parse_test_decoding(const std::vector<TestDecodingRow>& rows) {
  DecodedWal wal;
  DecodedTransaction open;
  for (const TestDecodingRow& row : rows) {
    Cursor cursor(row.data);
    if (cursor.skip("message: ")) continue;
    if (cursor.skip("BEGIN ")) {
      open = DecodedTransaction{};
      open.xid = parse_xid(cursor);
    } else if (cursor.skip("COMMIT ")) {
      if (parse_xid(cursor) != open.xid) cursor.fail("the commit of another transaction");
      open.commit_time = parse_commit_time(cursor);
      open.end_lsn = row.lsn;
      if (!open.changes.empty()) wal.push_back(std::exchange(open, {}));
    } else if (cursor.skip("table ")) {
      open.changes.push_back(parse_change(cursor, row.lsn));
      continue;
    } else {
      cursor.fail("unknown row");
    }
    if (!cursor.at_end()) cursor.fail("something follows");
  }
  return wal;
}

}  // namespace teal::test
