#include "tests/support/simulation/model_source.h"

#include <algorithm>
#include <utility>

namespace teal::test {
namespace {

using P = PgoutputBuilder;

constexpr std::uint64_t kCommitRecord = 0x30;
constexpr std::size_t kLargeRows = 20;  // from here on a transaction may come in blocks
constexpr std::uint32_t kXidsEach = 4;  // a transaction and its subtransactions

const Relation& item() {
  static const Relation relation = make_relation(RelationId{1}, "public", "item", {key("id", kText)});
  return relation;
}

}  // namespace

void ModelSource::commit() {
  Transaction transaction;
  const std::string number = std::to_string(log_.size());
  const std::uint64_t rows = below(12) == 0 ? kLargeRows + below(30) : below(6);
  transaction.xid = Xid{next_xid_ += kXidsEach};
  transaction.own = below(10) == 0;
  if (transaction.own) {
    transaction.own_rows = rows;
  } else {
    for (std::uint64_t row = 0; row < rows; ++row) transaction.rows.push_back(number + "." + std::to_string(row));
  }
  // Sometimes a commit follows the one before it without a byte between: positions at their boundary (A5).
  end_.value += below(3) == 0 ? 0 : 8 * (1 + below(100));
  transaction.final_lsn = end_;
  end_.value += kCommitRecord;
  transaction.end_lsn = end_;
  log_.push_back(std::move(transaction));
  if (below(4) == 0) end_.value += 8 * below(50);
}

std::size_t ModelSource::transactions_until(Lsn lsn) const {
  const auto after = std::upper_bound(log_.begin(), log_.end(), lsn,
                                      [](Lsn wanted, const Transaction& one) { return wanted < one.end_lsn; });
  return static_cast<std::size_t>(after - log_.begin());
}

void ModelSource::start_stream(Lsn from, bool streaming) {
  streaming_ = streaming;
  sent_ = std::max(from, confirmed_);
  acknowledged_ = Lsn{};
  announced_ = asked_ = false;
  queued_.clear();
  streamed_rows_.clear();
  next_ = 0;
  while (next_ < log_.size() && log_[next_].final_lsn < sent_) ++next_;
}

bool ModelSource::comes_in_blocks(std::size_t transaction) const {
  return streaming_ && !log_[transaction].own && log_[transaction].rows.size() >= kLargeRows;
}

std::optional<Bytes> ModelSource::next_message() {
  if (queued_.empty()) {
    if (next_ < log_.size()) {
      // One of the next transactions may be large and still open: a block of it comes first.
      const std::size_t ahead = next_ + below(4);
      if (ahead < log_.size() && comes_in_blocks(ahead) && below(2) == 0) {
        queue_block(ahead);
      } else if (streaming_ && below(20) == 0) {
        queue_ghost();
      } else if (comes_in_blocks(next_)) {
        queue_streamed_end(next_++);
      } else {
        queue_whole(log_[next_++]);
      }
    } else if (sent_ < end_ || std::exchange(asked_, false)) {
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

void ModelSource::queue_data(const Bytes& payload) {
  queued_.push_back(P::xlogdata(sent_, end_, Timestamp{1}, payload));
}

void ModelSource::queue_keepalive(const Transaction& inside) {
  if (below(6) == 0) queued_.push_back(P::keepalive(inside.end_lsn, Timestamp{1}, below(2) == 0));
}

void ModelSource::queue_whole(const Transaction& transaction) {
  queue_data(P::begin(transaction.final_lsn, Timestamp{1}, transaction.xid));
  if (transaction.own) queue_data(P::origin(transaction.final_lsn, kOwnOrigin));
  if (!std::exchange(announced_, true)) queue_data(P::relation(item()));
  for (std::size_t row = 0; row < transaction.own_rows; ++row) queue_data(P::insert(item().id, {text("own")}));
  for (const std::string& row : transaction.rows) {
    queue_keepalive(transaction);
    queue_data(P::insert(item().id, {text(row)}));
  }
  queue_keepalive(transaction);
  queue_data(P::commit(transaction.final_lsn, transaction.end_lsn, Timestamp{1}));
  sent_ = transaction.end_lsn;
}

// Some of its rows, and perhaps some of a subtransaction that is rolled back: they must not arrive.
void ModelSource::queue_block(std::size_t index) {
  const Transaction& transaction = log_[index];
  const bool first = !streamed_rows_.contains(index);
  std::size_t& sent = streamed_rows_[index];
  queue_data(P::stream_start(transaction.xid, first));
  queue_data(P::streamed(transaction.xid, P::relation(item())));
  for (std::uint64_t i = 1 + below(10); i > 0 && sent < transaction.rows.size(); --i) {
    queue_keepalive(transaction);
    queue_data(P::streamed(transaction.xid, P::insert(item().id, {text(transaction.rows[sent++])})));
  }
  const Xid subtransaction{transaction.xid.value + 1 + static_cast<std::uint32_t>(below(kXidsEach - 1))};
  const bool rolls_back = below(3) == 0;
  if (rolls_back) queue_data(P::streamed(subtransaction, P::insert(item().id, {text("rolled back")})));
  queue_data(P::stream_stop());
  if (rolls_back) queue_data(P::stream_abort({.xid = transaction.xid, .subxid = subtransaction, .record = {}}));
}

void ModelSource::queue_streamed_end(std::size_t index) {
  const Transaction& transaction = log_[index];
  do queue_block(index);
  while (streamed_rows_[index] < transaction.rows.size());
  queue_data(P::stream_commit({transaction.xid, transaction.final_lsn, transaction.end_lsn, Timestamp{1}}));
  sent_ = transaction.end_lsn;
}

// A large transaction of which something was streamed before all of it was rolled back.
void ModelSource::queue_ghost() {
  const Xid xid{next_xid_ += kXidsEach};
  queue_data(P::stream_start(xid, true));
  queue_data(P::streamed(xid, P::relation(item())));
  queue_data(P::streamed(xid, P::insert(item().id, {text("rolled back")})));
  queue_data(P::stream_stop());
  queue_data(P::stream_abort({.xid = xid, .subxid = xid, .record = {}}));
}

void ModelSource::confirm(const StandbyStatusUpdate& update) {
  if (update.flushed < acknowledged_) throw Violation("A9: the acknowledgement went back");
  if (update.flushed > std::max(sent_, confirmed_)) throw Violation("A9: what was never sent was acknowledged");
  acknowledged_ = update.flushed;
  confirmed_ = std::max(confirmed_, update.flushed);
  asked_ = asked_ || update.reply_requested;
}

}  // namespace teal::test
