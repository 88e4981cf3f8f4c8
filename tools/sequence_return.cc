#include "tools/sequence_return.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/sequence_facts.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kReleaseTimeout{10};
constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::string_view kLockTimeout = "55P03";

// The integer columns of tables that draw from a sequence.
constexpr const char* kColumnsOf = R"sql(
SELECT DISTINCT n.nspname, c.relname, a.attname FROM (
  SELECT d.refobjid AS oid, d.refobjsubid AS attnum FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = $1::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  UNION ALL
  SELECT f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
  WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::regclass
) AS drawn JOIN pg_class c ON c.oid = drawn.oid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = drawn.attnum
WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AND c.relkind IN ('r', 'p')
)sql";

std::string words(const SequenceRecord& record) { return "sequence " + to_string(record.name); }

// nullopt: it is gone.
std::optional<DrawnSequence> read_sequence(PgConnection& connection, const TableName& name) {
  const Rows rows =
      connection.exec("look at the sequence " + to_string(name),
                      "SELECT s.seqincrement, s.seqstart, s.seqmin, s.seqmax, pg_has_role(c.relowner, 'USAGE'), "
                      "pg_get_userbyid(c.relowner) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN "
                      "pg_namespace n ON n.oid "
                      "= c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                      {name.schema, name.name});
  if (rows.empty()) return std::nullopt;
  DrawnSequence found;
  found.name = name;
  found.numbers.increment = rows.integer(0, 0);
  found.numbers.start = rows.integer(0, 1);
  found.numbers.min = rows.integer(0, 2);
  found.numbers.max = rows.integer(0, 3);
  found.owned = rows.boolean(0, 4);
  found.owner = rows.str(0, 5);
  return found;
}

std::optional<std::int64_t> later(std::optional<std::int64_t> one, std::optional<std::int64_t> other, bool upward) {
  if (!one || !other) return one ? one : other;
  return upward ? std::max(*one, *other) : std::min(*one, *other);
}

// The last number that the other side's rows have; nullopt: none that is known.
std::optional<std::int64_t> drawn_there(PgConnection& other, const SequenceRecord& record) {
  std::optional<DrawnSequence> sequence = read_sequence(other, record.other);
  if (!sequence) return std::nullopt;
  read_standing(other, record.other, sequence->numbers);
  return last_drawn(sequence->numbers);
}

std::optional<std::int64_t> drawn_in_rows(PgConnection& connection, const TableName& sequence, bool upward) {
  const Rows columns =
      connection.exec("look which columns draw from " + to_string(sequence), kColumnsOf, {quote_sequence(sequence)});
  std::optional<std::int64_t> last;
  for (int i = 0; i < columns.size(); ++i) {
    const std::string column = quote_identifier(columns.at(i, 2));
    const Rows row = connection.exec("look at the numbers in " + columns.str(i, 1),
                                     std::string("SELECT ") + (upward ? "max(" : "min(") + column + ") FROM " +
                                         quote_qualified(columns.at(i, 0), columns.at(i, 1)));
    if (!row.is_null(0, 0)) last = later(last, row.integer(0, 0), upward);
  }
  return last;
}

class Return {
 public:
  Return(std::string name, PgConnection& connection, PgConnection* other, DeprovisionReport& report)
      : name_(std::move(name)), connection_(connection), other_(other), report_(report) {}

  void put_back(const SequenceRecord& record);

 private:
  void forget(const SequenceRecord& record);
  void alter(const SequenceRecord& record, const DrawnSequence& sequence);
  void removed(const std::string& what) { report_.removed.push_back(connection_.label() + ": " + what); }
  [[nodiscard]] std::string old_settings(const SequenceRecord& record, const DrawnSequence& sequence) const;
  [[nodiscard]] std::optional<std::int64_t> next_number(const SequenceRecord& record, SequenceNumbers numbers);

  std::string name_;
  PgConnection& connection_;
  PgConnection* other_;
  DeprovisionReport& report_;
};

void Return::forget(const SequenceRecord& record) {
  const Rows deleted = connection_.exec(
      "forget the interleaving of " + to_string(record.name),
      "DELETE FROM teal.sequence_state WHERE migration = $1 AND schema_name = $2 AND sequence_name = $3",
      {name_, record.name.schema, record.name.name});
  if (deleted.affected() != 1) throw Stopped(StopCode::kRefused, "teal.sequence_state was changed by somebody else");
}

// Its start only where nobody has set another one since.
std::string Return::old_settings(const SequenceRecord& record, const DrawnSequence& sequence) const {
  std::string settings =
      "ALTER SEQUENCE " + quote_sequence(record.name) + " INCREMENT BY " + std::to_string(record.old_increment);
  if (sequence.numbers.start == record.start) settings += " START WITH " + std::to_string(record.old_start);
  return settings;
}

std::optional<std::int64_t> Return::next_number(const SequenceRecord& record, SequenceNumbers numbers) {
  const bool upward = record.old_increment > 0;
  const std::optional<std::int64_t> bound =
      other_ != nullptr ? drawn_there(*other_, record) : drawn_in_rows(connection_, record.name, upward);
  read_standing(connection_, record.name, numbers);
  return bound ? next_behind(numbers, record.old_increment, *bound) : std::nullopt;
}

void Return::alter(const SequenceRecord& record, const DrawnSequence& sequence) {
  const auto deadline = steady_clock::now() + kReleaseTimeout;
  for (;;) {
    try {
      connection_.exec("begin", "BEGIN");
      connection_.exec("limit waiting for locks", "SET LOCAL lock_timeout = '200ms'");
      connection_.exec("put back the " + words(record), old_settings(record, sequence));
      if (const std::optional<std::int64_t> next = next_number(record, sequence.numbers)) {
        connection_.exec("move the " + words(record),
                         "ALTER SEQUENCE " + quote_sequence(record.name) + " RESTART WITH " + std::to_string(*next));
      }
      forget(record);
      connection_.exec("commit the return of the " + words(record), "COMMIT");
      return;
    } catch (const PgError& error) {
      if (error.sqlstate() != kLockTimeout) throw;
      connection_.exec("roll back", "ROLLBACK");
      if (steady_clock::now() > deadline) {
        throw Stopped(StopCode::kRefused, connection_.label() + ": the " + words(record) +
                                              " is held by a transaction that has drawn from it: " + error.text() +
                                              "; end that one, then repeat teal finish");
      }
    }
    pause_for(kRetryInterval, {});
  }
}

void Return::put_back(const SequenceRecord& record) {
  const std::optional<DrawnSequence> sequence = read_sequence(connection_, record.name);
  if (!sequence || sequence->numbers.increment == record.old_increment) return forget(record);
  if (sequence->numbers.increment != record.increment) {
    forget(record);
    return removed("note of the " + words(record) + ", which somebody has given INCREMENT BY " +
                   std::to_string(sequence->numbers.increment) + ": it stays so");
  }
  if (sequence->owned) {
    alter(record, *sequence);
    return removed("interleaving of the " + words(record) + ", which has INCREMENT BY " +
                   std::to_string(record.old_increment) + " again");
  }
  std::string sql = old_settings(record, *sequence);
  if (const std::optional<std::int64_t> next = next_number(record, sequence->numbers)) {
    // Whoever runs this does so later, and numbers are drawn until then.
    const std::string quoted = quote_sequence(record.name);
    const bool up = record.old_increment > 0;
    sql += "; SELECT setval(" + quote_literal(quoted) + ", " + (up ? "greatest" : "least") + "(last_value + " +
           std::to_string(record.old_increment) + ", " + std::to_string(*next) + "), false) FROM " + quoted;
  }
  report_.left.push_back({connection_.label(),
                          "the " + words(record) + " is interleaved and belongs to " + sequence->owner,
                          sql + "; -- then repeat teal finish"});
}

}  // namespace

void put_back_sequences(const std::string& name, PgConnection* blue, PgConnection* green, DeprovisionReport& report) {
  for (const auto& [side, other] : {std::pair{blue, green}, std::pair{green, blue}}) {
    if (side == nullptr) continue;
    Return back(name, *side, other, report);
    for (const SequenceRecord& record : read_sequence_records(*side, name)) back.put_back(record);
  }
}

}  // namespace teal
