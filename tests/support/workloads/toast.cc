#include <deque>
#include <random>

#include "tests/support/workloads/workload.h"

namespace teal::test {
namespace {

constexpr int kWritersMax = 16;
constexpr int kRows = 6;              // of each writer
constexpr int kOtherKey = 1'000'000;  // a row's key is its number, or this much more

class ToastWriter final : public WorkloadWriter {
 public:
  ToastWriter(int number, std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < kRows; ++i) rows_.push_back({number * kRows + i, 0});
  }

  WorkloadStep next(std::int64_t /*number*/) override {
    row_ = random_() % kRows;
    after_ = rows_[row_];
    ++after_.changes;
    const std::uint64_t kind = random_() % 10;
    std::string what;
    if (kind < 2) {
      after_.key = after_.key < kOtherKey ? after_.key + kOtherKey : after_.key - kOtherKey;
      what = ", id = " + std::to_string(after_.key);
    } else if (kind < 8) {
      const std::string column(1, "abc"[kind % 3]);
      what = ", " + column + " = v, hash_" + column;
      what += " = md5(v) FROM (SELECT " + large_value(column) + " AS v) value";
    }
    return {"UPDATE toast SET changes = changes + 1" + what + " WHERE id = " + std::to_string(rows_[row_].key) + "; "};
  }
  void committed() override { rows_[row_] = after_; }

  [[nodiscard]] std::string problems(Sql& green) const {
    std::string text;
    for (const Row& row : rows_) {
      const SqlRows found = green.rows("SELECT changes FROM toast WHERE id = " + std::to_string(row.key));
      if (found.size() != 1 || *found[0][0] != std::to_string(row.changes)) {
        text += "toast: row " + std::to_string(row.key) + " has not its " + std::to_string(row.changes) + " changes\n";
      }
    }
    return text;
  }

 private:
  struct Row {
    int key = 0;
    std::int64_t changes = 0;
  };

  // One that compresses well, or one that does not; long enough to be stored out of line.
  std::string large_value(const std::string& column) {
    if (column == "c") {
      return "repeat('" + std::to_string(random_()) + "', " + std::to_string(200 + random_() % 1000) + ")";
    }
    std::string text;
    const std::size_t length = 2500 + random_() % 4000;
    while (text.size() < length) text += std::to_string(random_());
    return "'" + text + "'::text";
  }

  std::mt19937_64 random_;
  std::vector<Row> rows_;
  std::size_t row_ = 0;
  Row after_;
};

class ToastReader final : public WorkloadReader {
 public:
  std::string look(Sql& green) override {
    const std::string found = green.value(
        "SELECT count(*) || ' ' || count(*) FILTER (WHERE (hash_a = md5(a) AND hash_b = md5(b) AND hash_c = md5(c)) IS "
        "NOT TRUE) FROM toast");
    return found == std::to_string(kWritersMax * kRows) + " 0" ? ""
                                                               : "toast: rows, and those with wrong values: " + found;
  }
};

class Toast final : public Workload {
 public:
  [[nodiscard]] std::string_view name() const override { return "toast"; }
  [[nodiscard]] std::vector<std::string> tables() const override { return {"public.toast"}; }
  [[nodiscard]] std::string schema_sql() const override {
    return "CREATE TABLE toast (id int PRIMARY KEY, changes bigint NOT NULL, a text, b text, c text, hash_a text, "
           "hash_b "
           "text, hash_c text); ALTER TABLE toast ALTER a SET STORAGE EXTERNAL;";
  }
  [[nodiscard]] std::string rows_sql() const override {
    return "INSERT INTO toast SELECT i, 0, a, b, c, md5(a), md5(b), md5(c) FROM (SELECT i, (SELECT "
           "string_agg(md5(i || 'a' || j), '') FROM generate_series(1, 100) j) a, (SELECT string_agg(md5(i || 'b' || "
           "j), "
           "'') FROM generate_series(1, 120) j) b, repeat('c' || i, 3000) c FROM generate_series(0, " +
           std::to_string(kWritersMax * kRows - 1) + ") i) rows;";
  }
  WorkloadWriter& add_writer(std::uint64_t seed) override {
    return writers_.emplace_back(static_cast<int>(writers_.size()), seed);
  }
  [[nodiscard]] std::unique_ptr<WorkloadReader> reader() const override { return std::make_unique<ToastReader>(); }

  [[nodiscard]] std::string check_at_rest(Sql& green) const override {
    std::string text;
    for (const ToastWriter& writer : writers_) text += writer.problems(green);
    return text;
  }

 private:
  std::deque<ToastWriter> writers_;
};

}  // namespace

std::unique_ptr<Workload> make_toast() { return std::make_unique<Toast>(); }

}  // namespace teal::test
