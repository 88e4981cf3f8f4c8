// A token is "writer.number.count": it stands in `count` lists, or in none. One that begins with ! was rolled back.
// Lists of an epoch are closed after some transactions, so that they stay short.
#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "tests/support/workloads/workload.h"

namespace teal::test {
namespace {

constexpr int kLists = 20;  // of an epoch
constexpr std::int64_t kEpochTransactions = 600;

std::string append(std::int64_t epoch, int list, const std::string& token) {
  return "INSERT INTO lists VALUES (" + std::to_string(epoch) + ", " + std::to_string(list) + ", '" + token +
         "') ON CONFLICT (epoch, id) DO UPDATE SET tokens = lists.tokens || ' ' || excluded.tokens; ";
}

class ListsWriter final : public WorkloadWriter {
 public:
  ListsWriter(int number, std::uint64_t seed, std::atomic<std::int64_t>& transactions)
      : number_(number), random_(seed), transactions_(transactions) {}

  WorkloadStep next(std::int64_t number) override {
    const std::int64_t epoch = ++transactions_ / kEpochTransactions;
    std::set<int> lists;  // in order, so that two writers never wait for each other
    for (std::uint64_t count = 1 + random_() % 3; lists.size() < count;)
      lists.insert(static_cast<int>(random_() % kLists));
    const std::string name = std::to_string(number_) + "." + std::to_string(number);
    const std::uint64_t kind = random_() % 5;
    token_ = name + "." + std::to_string(lists.size());
    std::string sql;
    for (const int list : lists) {
      if (kind == 0) {
        sql += "SAVEPOINT s; " + append(epoch, list, "!" + name) + "ROLLBACK TO s; ";
      }
      sql += append(epoch, list, kind == 1 ? "!" + name : token_);
    }
    return {sql, kind == 1};
  }
  void committed() override { tokens_.push_back(token_); }

  [[nodiscard]] const std::vector<std::string>& tokens() const { return tokens_; }

 private:
  int number_;
  std::mt19937_64 random_;
  std::atomic<std::int64_t>& transactions_;
  std::string token_;
  std::vector<std::string> tokens_;  // committed
};

/// How often each token stands in the lists.
std::map<std::string, int> count_tokens(const SqlRows& rows, std::size_t column) {
  std::map<std::string, int> counts;
  for (const SqlRow& row : rows) {
    std::istringstream list(*row[column]);
    for (std::string token; list >> token;) ++counts[token];
  }
  return counts;
}

std::string check_counts(const std::map<std::string, int>& counts) {
  for (const auto& [token, count] : counts) {
    if (token.starts_with('!')) return "lists: " + token + " was rolled back";
    if (count != std::stoi(token.substr(token.rfind('.') + 1))) {
      return "lists: " + token + " is in " + std::to_string(count) + " lists";
    }
  }
  return "";
}

class ListsReader final : public WorkloadReader {
 public:
  std::string look(Sql& green) override {
    rows_ = green.rows("SELECT epoch, id, tokens FROM lists WHERE epoch >= (SELECT max(epoch) - 1 FROM lists)");
    return check_counts(count_tokens(rows_, 2));
  }

  std::string compare(Sql& blue) override {
    if (rows_.empty()) return "";
    std::map<std::pair<std::string, std::string>, std::string> lists;
    for (const SqlRow& row : blue.rows("SELECT epoch, id, tokens FROM lists WHERE epoch >= " + *rows_[0][0] + " - 2")) {
      lists[{*row[0], *row[1]}] = *row[2] + " ";
    }
    for (const SqlRow& row : rows_) {
      const std::string& there = lists[{*row[0], *row[1]}];
      if (!there.starts_with(*row[2] + " ")) {
        return "lists: " + *row[0] + "/" + *row[1] + " on green, " + *row[2] + ", is no beginning of blue's, " + there;
      }
    }
    return "";
  }

 private:
  SqlRows rows_;
};

class Lists final : public Workload {
 public:
  [[nodiscard]] std::string_view name() const override { return "lists"; }
  [[nodiscard]] std::vector<std::string> tables() const override { return {"public.lists"}; }
  [[nodiscard]] std::string schema_sql() const override {
    return "CREATE TABLE lists (epoch bigint, id int, tokens text NOT NULL, PRIMARY KEY (epoch, id));";
  }
  [[nodiscard]] std::string rows_sql() const override { return ""; }
  WorkloadWriter& add_writer(std::uint64_t seed) override {
    return writers_.emplace_back(static_cast<int>(writers_.size()), seed, transactions_);
  }
  [[nodiscard]] std::unique_ptr<WorkloadReader> reader() const override { return std::make_unique<ListsReader>(); }

  [[nodiscard]] std::string check_at_rest(Sql& green) const override {
    const std::map<std::string, int> found = count_tokens(green.rows("SELECT tokens FROM lists"), 0);
    std::string problem = check_counts(found);
    if (!problem.empty()) return problem + "\n";
    std::size_t committed = 0;
    for (const ListsWriter& writer : writers_) {
      committed += writer.tokens().size();
      for (const std::string& token : writer.tokens()) {
        if (!found.contains(token)) problem += "lists: " + token + " is lost\n";
      }
    }
    if (committed != found.size()) {
      problem += "lists: " + std::to_string(found.size()) + " tokens in place of " + std::to_string(committed) + "\n";
    }
    return problem;
  }

 private:
  std::atomic<std::int64_t> transactions_{0};
  std::deque<ListsWriter> writers_;
};

}  // namespace

std::unique_ptr<Workload> make_lists() { return std::make_unique<Lists>(); }

}  // namespace teal::test
