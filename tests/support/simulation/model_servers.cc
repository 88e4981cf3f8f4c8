#include "tests/support/simulation/model_servers.h"

#include <algorithm>

namespace teal::test {
namespace {

using P = PgoutputBuilder;

constexpr std::uint64_t kCommitRecord = 0x30;

const Relation& item() {
  static const Relation relation = make_relation(RelationId{1}, "public", "item", {key("id", kText)});
  return relation;
}

}  // namespace

void ModelSource::commit() {
  Transaction transaction;
  const std::string number = std::to_string(log_.size());
  for (std::uint64_t row = 0; row < 1 + below(6); ++row) transaction.rows.push_back(number + "." + std::to_string(row));
  // Sometimes a commit follows the one before it without a byte between: positions at their boundary (A5).
  end_.value += below(3) == 0 ? 0 : 8 * (1 + below(100));
  transaction.final_lsn = end_;
  end_.value += kCommitRecord;
  transaction.end_lsn = end_;
  log_.push_back(std::move(transaction));
  if (below(4) == 0) end_.value += 8 * below(50);
}

void ModelSource::start_stream(Lsn from) {
  sent_ = std::max(from, confirmed_);
  acknowledged_ = Lsn{};
  announced_ = false;
  queued_.clear();
  next_ = 0;
  while (next_ < log_.size() && log_[next_].final_lsn < sent_) ++next_;
}

Bytes ModelSource::data(const Bytes& payload) const { return P::xlogdata(sent_, end_, Timestamp{1}, payload); }

std::optional<Bytes> ModelSource::next_message() {
  if (queued_.empty()) {
    if (next_ < log_.size()) {
      queue_transaction(log_[next_++]);
    } else if (sent_ < end_ || below(8) == 0) {
      sent_ = end_;
      return P::keepalive(sent_, Timestamp{1}, below(2) == 0);
    } else {
      return std::nullopt;
    }
  }
  Bytes message = std::move(queued_.front());
  queued_.pop_front();
  return message;
}

void ModelSource::queue_transaction(const Transaction& transaction) {
  const auto keepalive = [this, &transaction] {
    if (below(6) == 0) queued_.push_back(P::keepalive(transaction.end_lsn, Timestamp{1}, below(2) == 0));
  };
  queued_.push_back(data(P::begin(transaction.final_lsn, Timestamp{1}, Xid{static_cast<std::uint32_t>(next_)})));
  if (!std::exchange(announced_, true)) queued_.push_back(data(P::relation(item())));
  for (const std::string& row : transaction.rows) {
    keepalive();
    queued_.push_back(data(P::insert(item().id, {text(row)})));
  }
  keepalive();
  queued_.push_back(data(P::commit(transaction.final_lsn, transaction.end_lsn, Timestamp{1})));
  sent_ = transaction.end_lsn;
}

void ModelSource::confirm(Lsn flushed) {
  if (flushed < acknowledged_) throw Violation("A9: the acknowledgement went back");
  if (flushed > std::max(sent_, confirmed_)) throw Violation("A9: what was never sent was acknowledged");
  acknowledged_ = flushed;
  confirmed_ = std::max(confirmed_, flushed);
}

void ModelTarget::commit(const std::vector<std::vector<std::string>>& transactions, Row row) {
  std::size_t count = this->transactions();
  for (const std::vector<std::string>& rows : transactions) {
    if (count >= source_.transactions()) throw Violation("I1: more was applied than there is");
    if (rows != source_.rows(count)) {
      const std::string found = rows.empty() ? "nothing" : rows.front();
      throw Violation("I1, I3: transaction " + std::to_string(count) + " is next, and what came begins with " + found);
    }
    ++count;
  }
  if (row.applied < this->row().applied) throw Violation("the progress row went back");
  batches_.push_back({row, count});
}

}  // namespace teal::test
