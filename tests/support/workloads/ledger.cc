#include <deque>
#include <map>
#include <random>

#include "tests/support/workloads/workload.h"

namespace teal::test {
namespace {

constexpr int kClientsMax = 64;

std::string join(const std::vector<std::string>& parts, const std::string& between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

class LedgerWriter final : public WorkloadWriter {
 public:
  LedgerWriter(int client, std::uint64_t seed) : client_(client), random_(seed) {}

  WorkloadStep next(std::int64_t number) override {
    size_ = 1 + static_cast<std::int64_t>(random_() % 3);
    std::vector<std::string> values;
    for (std::int64_t n = last_ + 1; n <= last_ + size_; ++n) {
      const std::string payload = "'" + std::to_string(random_()) + "'";
      values.push_back("(" +
                       join({std::to_string(client_), std::to_string(n), std::to_string(number), std::to_string(size_),
                             payload, "md5(" + payload + ")"},
                            ", ") +
                       ")");
    }
    return {"INSERT INTO ledger VALUES " + join(values, ", ") + "; UPDATE ledger_head SET n = " +
            std::to_string(last_ + size_) + " WHERE client = " + std::to_string(client_) + "; "};
  }
  void committed() override { last_ += size_; }

  [[nodiscard]] std::int64_t last() const { return last_; }
  [[nodiscard]] int client() const { return client_; }

 private:
  int client_;
  std::mt19937_64 random_;
  std::int64_t last_ = 0;
  std::int64_t size_ = 0;
};

// Reads each row once: what is new since the last look has to go on where that ended. A green that crashed may have
// forgotten what was not flushed, and has it again later.
class LedgerReader final : public WorkloadReader {
 public:
  std::string look(Sql& green) override {
    std::vector<std::string> known;
    for (const SqlRow& row : green.rows("SELECT client, n FROM ledger_head"))
      heads_[std::stoi(*row[0])] = std::stoll(*row[1]);
    known.reserve(heads_.size());
    for (const auto& [client, head] : heads_) {
      known.push_back("(" + std::to_string(client) + ", " + std::to_string(seen_[client]) + ")");
    }
    const SqlRows rows =
        green.rows("SELECT l.client, l.n, l.txn, l.size, l.hash = md5(l.payload) FROM ledger l JOIN (VALUES " +
                   join(known, ", ") + ") k (client, n) ON l.client = k.client AND l.n > k.n ORDER BY 1, 2");
    std::map<int, std::int64_t> ends = seen_;
    std::map<std::pair<int, std::int64_t>, std::int64_t> missing;  // rows of a transaction that are still to come
    for (const SqlRow& row : rows) {
      const int client = std::stoi(*row[0]);
      const std::int64_t n = std::stoll(*row[1]);
      if (n != ends[client] + 1) return gap(client, ends[client], n);
      ends[client] = n;
      const auto [transaction, fresh] = missing.try_emplace({client, std::stoll(*row[2])}, std::stoll(*row[3]));
      --transaction->second;
      if (row[4] != "t") return "ledger: client " + *row[0] + " number " + *row[1] + " has another hash";
    }
    for (const auto& [transaction, count] : missing) {
      if (count != 0) return "ledger: half of a transaction of client " + std::to_string(transaction.first);
    }
    for (const auto& [client, head] : heads_) {
      const bool went_back = head < seen_[client];
      if (!went_back && head != ends[client]) {
        return "ledger: the head of client " + std::to_string(client) + " is " + std::to_string(head) +
               ", its last row " + std::to_string(ends[client]);
      }
    }
    seen_ = ends;
    return "";
  }

 private:
  static std::string gap(int client, std::int64_t last, std::int64_t next) {
    return "ledger: client " + std::to_string(client) + " goes on after " + std::to_string(last) + " with " +
           std::to_string(next);
  }

  std::map<int, std::int64_t> seen_;
  std::map<int, std::int64_t> heads_;
};

class LedgerWorkload final : public Workload {
 public:
  [[nodiscard]] std::string_view name() const override { return "ledger"; }
  [[nodiscard]] std::vector<std::string> tables() const override { return {"public.ledger", "public.ledger_head"}; }
  [[nodiscard]] std::string schema_sql() const override {
    return "CREATE TABLE ledger (client int, n bigint, txn bigint NOT NULL, size int NOT NULL, payload text NOT NULL, "
           "hash text NOT NULL, PRIMARY KEY (client, n)); "
           "CREATE TABLE ledger_head (client int PRIMARY KEY, n bigint NOT NULL);";
  }
  [[nodiscard]] std::string rows_sql() const override {
    return "INSERT INTO ledger_head SELECT i, 0 FROM generate_series(0, " + std::to_string(kClientsMax - 1) + ") i;";
  }
  WorkloadWriter& add_writer(std::uint64_t seed) override {
    return writers_.emplace_back(static_cast<int>(writers_.size()), seed);
  }
  [[nodiscard]] std::unique_ptr<WorkloadReader> reader() const override { return std::make_unique<LedgerReader>(); }

  [[nodiscard]] std::string check_at_rest(Sql& green) const override {
    std::string problems;
    for (const LedgerWriter& writer : writers_) {
      const std::string last = std::to_string(writer.last());
      const std::string found = green.value(
          "SELECT count(*) || ' ' || coalesce(max(n), 0) || ' ' || (SELECT n FROM ledger_head h WHERE h.client = " +
          std::to_string(writer.client()) + ") FROM ledger WHERE client = " + std::to_string(writer.client()));
      if (found != last + " " + last + " " + last) {
        problems += "ledger: client " + std::to_string(writer.client()) + " committed " + last +
                    " rows; count, last and head are " + found + "\n";
      }
    }
    return problems;
  }

 private:
  std::deque<LedgerWriter> writers_;
};

}  // namespace

std::unique_ptr<Workload> make_ledger() { return std::make_unique<LedgerWorkload>(); }

}  // namespace teal::test
