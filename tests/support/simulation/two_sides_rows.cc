// What a link makes of its target's rows: the rule of docs/design.md as a page of code.
#include "tests/support/simulation/two_sides.h"

namespace teal::test {

void TwoSides::write_truncate(int link, const Net& net, Written& written) {
  Table spared;
  for (const auto& [key, row] : written.rows) {
    const bool stays =
        !takes(net.op, key) || (!has(WrongRule::kTruncateTakesAll) && verdict(link, net, key) == Verdict::kLoses);
    if (stays) spared[key] = row;
  }
  written.rows = std::move(spared);
}

// A key change stays one unless there is a conflict on either key, or what the old one has is of a later moment.
void TwoSides::write_move(int link, const Net& net, Written& written) {
  const auto known = written.fetched.find(net.op.from);
  const bool over_fetched = known != written.fetched.end();
  if (!over_fetched && verdict(link, net, net.op.from) == Verdict::kApplies &&
      verdict(link, net, net.op.key) == Verdict::kApplies) {
    const auto row = written.rows.find(net.op.from);
    if (row == written.rows.end()) {
      wrong_ = "a key change that had seen everything does not find its row";
      return;
    }
    Row moved = net.op.row;
    moved.second = row->second.second;
    written.rows.erase(row);
    written.rows[net.op.key] = moved;
    return;
  }
  if (verdict(link, net, net.op.from) != Verdict::kLoses) written.rows.erase(net.op.from);
  written.fetched.erase(net.op.from);
  if (verdict(link, net, net.op.key) != Verdict::kLoses) {
    put_whole(link, net, written);
  } else {
    written.fetched.erase(net.op.key);
  }
}

// What was not sent is read from the source, as it is at some moment since.
void TwoSides::put_whole(int link, const Net& net, Written& written) {
  written.fetched.erase(net.op.key);
  if (net.op.second_sent) {
    written.rows[net.op.key] = net.op.row;
    return;
  }
  source(link).flushed = source(link).log.size();
  const std::vector<Transaction>& log = source(link).log;
  const std::size_t first = index_from(written.end) - 1;
  const Transaction& moment = log[first + static_cast<std::size_t>(below(static_cast<int>(log.size() - first)))];
  const auto row = moment.rows.find(net.op.key);
  const bool there = row != moment.rows.end();
  if (!has(WrongRule::kFetchedKeysForgotten)) written.fetched[net.op.key] = {!there, moment.end};
  if (there || has(WrongRule::kGoneRowIsWritten)) {
    Row whole = net.op.row;
    const auto standing = written.rows.find(net.op.key);
    if (there) {
      whole.second = row->second.second;
    } else {
      whole.second = standing == written.rows.end() ? 0 : standing->second.second;
      written.fetched.erase(net.op.key);
    }
    written.rows[net.op.key] = whole;
  } else {
    written.rows.erase(net.op.key);
  }
}

// Nothing on the target is unknown to the change.
void TwoSides::write_update(const Net& net, Written& written) {
  const auto found = written.rows.find(net.op.key);
  if (has(WrongRule::kNone) && (found != written.rows.end()) != net.finds_row) {
    wrong_ = "a change that had seen everything does not find what it saw";
    return;
  }
  if (net.op.kind == OpKind::kUpdate && !net.op.second_sent && found != written.rows.end()) {
    Row row = net.op.row;
    row.second = found->second.second;
    found->second = row;
    return;
  }
  if (net.op.kind != OpKind::kUpdate) written.fetched.erase(net.op.key);
  put(written.rows, net.op);
}

void TwoSides::write_net(int link, const Net& net, Written& written) {
  if (net.op.kind == OpKind::kTruncate) return write_truncate(link, net, written);
  if (leaves_out(link, net, written)) return;
  if (net.op.kind == OpKind::kMove) return write_move(link, net, written);
  const Verdict verdict = this->verdict(link, net, net.op.key);
  const auto known = written.fetched.find(net.op.key);
  const bool left_out = known != written.fetched.end() && known->second.left_out;
  if (verdict == Verdict::kLoses) {
    written.fetched.erase(net.op.key);
  } else if (verdict == Verdict::kApplies && !left_out) {
    write_update(net, written);
  } else if (net.op.kind == OpKind::kDelete) {
    written.rows.erase(net.op.key);
    written.fetched.erase(net.op.key);
  } else if (has(WrongRule::kPartialRow) && net.op.kind == OpKind::kUpdate && !net.op.second_sent &&
             written.rows.contains(net.op.key)) {
    written.rows[net.op.key].first = net.op.row.first;
  } else {
    put_whole(link, net, written);
  }
}

}  // namespace teal::test
