#include <deque>
#include <random>

#include "tests/support/workloads/workload.h"

namespace teal::test {
namespace {

constexpr int kWritersMax = 16;
constexpr int kSlots = 10;  // of each writer, in each of the tables
constexpr int kTokens = kWritersMax * kSlots;

// The two tables differ in how they let two tokens change places.
struct SwapTable {
  const char* name;
  bool deferred;
};
constexpr SwapTable kTables[] = {{"swap_deferred", true}, {"swap_temporary", false}};

class SwapWriter final : public WorkloadWriter {
 public:
  SwapWriter(int number, std::uint64_t seed) : first_slot_(number * kSlots), random_(seed) {
    for (std::vector<int>& tokens : tokens_) {
      for (int i = 0; i < kSlots; ++i) tokens.push_back(first_slot_ + i + 1);
    }
  }

  WorkloadStep next(std::int64_t /*number*/) override {
    table_ = random_() % 2;
    a_ = random_() % kSlots;
    b_ = (a_ + 1 + random_() % (kSlots - 1)) % kSlots;
    const int token_a = tokens_[table_][a_];
    const int token_b = tokens_[table_][b_];
    const std::string free = kTables[table_].deferred ? "" : put(a_, -slot(a_) - 1);
    return {free + put(b_, token_a) + put(a_, token_b)};
  }
  void committed() override { std::swap(tokens_[table_][a_], tokens_[table_][b_]); }

  [[nodiscard]] std::string expected(std::size_t table) const {
    std::string text;
    for (std::size_t i = 0; i < kSlots; ++i) text += (i == 0 ? "" : ",") + std::to_string(tokens_[table][i]);
    return text;
  }
  [[nodiscard]] int slot(std::size_t i) const { return first_slot_ + static_cast<int>(i); }

 private:
  [[nodiscard]] std::string put(std::size_t i, int token) const {
    return "UPDATE " + std::string(kTables[table_].name) + " SET token = " + std::to_string(token) +
           " WHERE slot = " + std::to_string(slot(i)) + "; ";
  }

  int first_slot_;
  std::mt19937_64 random_;
  std::vector<int> tokens_[2];
  std::size_t table_ = 0;
  std::size_t a_ = 0;
  std::size_t b_ = 0;
};

class SwapReader final : public WorkloadReader {
 public:
  std::string look(Sql& green) override {
    for (const SwapTable& table : kTables) {
      const std::string found = green.value(
          "SELECT count(*) || ' ' || count(DISTINCT token) || ' ' || min(token) || ' ' || max(token) FROM " +
          std::string(table.name));
      const std::string tokens = std::to_string(kTokens);
      if (found != tokens + " " + tokens + " 1 " + tokens) return std::string(table.name) + ": other tokens: " + found;
    }
    return "";
  }
};

class Swap final : public Workload {
 public:
  [[nodiscard]] std::string_view name() const override { return "swap"; }
  [[nodiscard]] std::vector<std::string> tables() const override {
    return {"public.swap_deferred", "public.swap_temporary"};
  }
  [[nodiscard]] std::string schema_sql() const override {
    std::string sql;
    for (const SwapTable& table : kTables) {
      sql += "CREATE TABLE " + std::string(table.name) + " (slot int PRIMARY KEY, token int NOT NULL UNIQUE" +
             (table.deferred ? " DEFERRABLE INITIALLY DEFERRED" : "") + "); ";
    }
    return sql;
  }
  [[nodiscard]] std::string rows_sql() const override {
    std::string sql;
    for (const SwapTable& table : kTables) {
      sql += "INSERT INTO " + std::string(table.name) + " SELECT i, i + 1 FROM generate_series(0, " +
             std::to_string(kTokens - 1) + ") i; ";
    }
    return sql;
  }
  WorkloadWriter& add_writer(std::uint64_t seed) override {
    return writers_.emplace_back(static_cast<int>(writers_.size()), seed);
  }
  [[nodiscard]] std::unique_ptr<WorkloadReader> reader() const override { return std::make_unique<SwapReader>(); }

  [[nodiscard]] std::string check_at_rest(Sql& green) const override {
    std::string problems;
    for (std::size_t table = 0; table < 2; ++table) {
      for (const SwapWriter& writer : writers_) {
        const std::string found =
            green.value("SELECT string_agg(token::text, ',' ORDER BY slot) FROM " + std::string(kTables[table].name) +
                        " WHERE slot BETWEEN " + std::to_string(writer.slot(0)) + " AND " +
                        std::to_string(writer.slot(kSlots - 1)));
        if (found != writer.expected(table)) {
          problems += std::string(kTables[table].name) + ": " + found + " and not " + writer.expected(table) + "\n";
        }
      }
    }
    return problems;
  }

 private:
  std::deque<SwapWriter> writers_;
};

}  // namespace

std::unique_ptr<Workload> make_swap() { return std::make_unique<Swap>(); }

}  // namespace teal::test
