#include <deque>
#include <map>
#include <random>

#include "tests/support/workloads/workload.h"

namespace teal::test {
namespace {

constexpr int kAccounts = 100;
constexpr std::int64_t kFirstBalance = 200;

class BankWriter final : public WorkloadWriter {
 public:
  explicit BankWriter(std::uint64_t seed) : random_(seed), moved_(kAccounts, 0) {}

  WorkloadStep next(std::int64_t /*number*/) override {
    // The lower account first, so that two writers never wait for each other. One that runs dry refuses.
    lower_ = static_cast<int>(random_() % (kAccounts - 1));
    upper_ = lower_ + 1 + static_cast<int>(random_() % static_cast<std::uint64_t>(kAccounts - lower_ - 1));
    amount_ = static_cast<std::int64_t>(random_() % 101) - 50;
    return {add(lower_, -amount_) + add(upper_, amount_)};
  }
  void committed() override {
    moved_[static_cast<std::size_t>(lower_)] -= amount_;
    moved_[static_cast<std::size_t>(upper_)] += amount_;
  }

  [[nodiscard]] std::int64_t moved(std::size_t account) const { return moved_[account]; }

 private:
  static std::string add(int account, std::int64_t amount) {
    return "UPDATE bank SET balance = balance + " + std::to_string(amount) + " WHERE id = " + std::to_string(account) +
           "; ";
  }

  std::mt19937_64 random_;
  std::vector<std::int64_t> moved_;
  int lower_ = 0;
  int upper_ = 0;
  std::int64_t amount_ = 0;
};

class BankReader final : public WorkloadReader {
 public:
  std::string look(Sql& green) override {
    const SqlRows rows = green.rows("SELECT count(*), sum(balance), min(balance) < 0 FROM bank");
    const std::string count = rows[0][0].value_or("");
    const std::string sum = rows[0][1].value_or("NULL");
    if (count == std::to_string(kAccounts) && sum == std::to_string(kAccounts * kFirstBalance) && rows[0][2] == "f") {
      return "";
    }
    return "bank: " + count + " accounts with " + sum + " in all, or one below zero";
  }
};

class Bank final : public Workload {
 public:
  [[nodiscard]] std::string_view name() const override { return "bank"; }
  [[nodiscard]] std::vector<std::string> tables() const override { return {"public.bank"}; }
  [[nodiscard]] std::string schema_sql() const override {
    return "CREATE TABLE bank (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));";
  }
  [[nodiscard]] std::string rows_sql() const override {
    return "INSERT INTO bank SELECT i, " + std::to_string(kFirstBalance) + " FROM generate_series(0, " +
           std::to_string(kAccounts - 1) + ") i;";
  }
  WorkloadWriter& add_writer(std::uint64_t seed) override { return writers_.emplace_back(seed); }
  [[nodiscard]] std::unique_ptr<WorkloadReader> reader() const override { return std::make_unique<BankReader>(); }

  [[nodiscard]] std::string check_at_rest(Sql& green) const override {
    std::string problems;
    for (const SqlRow& row : green.rows("SELECT id, balance FROM bank ORDER BY id")) {
      std::int64_t expected = kFirstBalance;
      for (const BankWriter& writer : writers_) expected += writer.moved(std::stoul(*row[0]));
      if (*row[1] != std::to_string(expected)) {
        problems += "bank: account " + *row[0] + " has " + *row[1] + " and not " + std::to_string(expected) + "\n";
      }
    }
    return problems;
  }

 private:
  std::deque<BankWriter> writers_;
};

}  // namespace

std::unique_ptr<Workload> make_bank() { return std::make_unique<Bank>(); }

}  // namespace teal::test
