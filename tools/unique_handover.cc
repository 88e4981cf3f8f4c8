#include "tools/unique_handover.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace teal {
namespace {

using Places = std::vector<std::size_t>;

class Graph {
 public:
  explicit Graph(std::span<const HandoverRow> rows) : holders_(rows.size()), waiting_(rows.size()), held_(rows.size()) {
    std::map<std::string_view, std::size_t> by_version;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].version.empty()) by_version[rows[i].version] = i;
    }
    Places lost;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const std::string& version : rows[i].holders) {
        const auto holder = by_version.find(version);
        if (holder == by_version.end()) {
          lost.push_back(i);
        } else if (holder->second != i) {
          holders_[i].push_back(holder->second);
          waiting_[holder->second].push_back(i);
        }
      }
    }
    hold(std::move(lost));
  }

  [[nodiscard]] std::size_t size() const { return holders_.size(); }
  [[nodiscard]] bool held(std::size_t row) const { return held_[row]; }

  // Those that can be written are in one part with all that they wait for, and that wait for them.
  [[nodiscard]] std::vector<Places> parts() const {
    Places root(size());
    std::iota(root.begin(), root.end(), std::size_t{0});
    const auto top = [&](std::size_t row) {
      while (root[row] != row) row = root[row] = root[root[row]];
      return row;
    };
    for (std::size_t i = 0; i < size(); ++i) {
      if (held_[i]) continue;
      for (const std::size_t holder : holders_[i]) root[top(i)] = top(holder);
    }
    std::map<std::size_t, Places> parts;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!held_[i]) parts[top(i)].push_back(i);
    }
    std::vector<Places> all;
    all.reserve(parts.size());
    for (auto& [first, part] : parts) all.push_back(std::move(part));
    return all;
  }

  // Who holds a value before who waits for it; rows of a circle, and those that wait for one, are not in it.
  [[nodiscard]] Places in_order(const Places& part) const {
    std::map<std::size_t, std::size_t> open;
    Places order;
    for (const std::size_t row : part) {
      open[row] = holders_[row].size();
      if (holders_[row].empty()) order.push_back(row);
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      for (const std::size_t row : waiting_[order[i]]) {
        if (!held_[row] && --open[row] == 0) order.push_back(row);
      }
    }
    return order;
  }

 private:
  void hold(Places rows) {
    while (!rows.empty()) {
      const std::size_t row = rows.back();
      rows.pop_back();
      if (held_[row]) continue;
      held_[row] = true;
      rows.insert(rows.end(), waiting_[row].begin(), waiting_[row].end());
    }
  }

  std::vector<Places> holders_;
  std::vector<Places> waiting_;
  std::vector<bool> held_;
};

}  // namespace

Handover plan_handover(std::span<const HandoverRow> rows, std::size_t together_max) {
  const Graph graph(rows);
  Handover plan;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.held(i)) plan.held.push_back(i);
  }
  for (Places& part : graph.parts()) {
    if (part.size() <= together_max) {
      plan.together.push_back(std::move(part));
      continue;
    }
    const Places order = graph.in_order(part);
    for (std::size_t from = 0; from < order.size(); from += together_max) {
      const std::size_t to = std::min(order.size(), from + together_max);
      plan.together.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(from),
                                 order.begin() + static_cast<std::ptrdiff_t>(to));
    }
    const std::set<std::size_t> ordered(order.begin(), order.end());
    for (const std::size_t row : part) {
      if (!ordered.contains(row)) plan.circles.push_back(row);
    }
  }
  return plan;
}

}  // namespace teal
