#include "verifier/schema_check.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

namespace teal {
namespace {

constexpr std::size_t kShownMax = 300;

const char* word(SchemaKind kind) {
  switch (kind) {
    case SchemaKind::kColumn:
      return "column";
    case SchemaKind::kNotNull:
      return "NOT NULL of";
    case SchemaKind::kDefault:
      return "default of";
    case SchemaKind::kUnique:
      return "unique rule";
    case SchemaKind::kIndex:
      return "index";
    case SchemaKind::kConstraint:
      return "constraint";
    case SchemaKind::kTrigger:
      return "trigger";
    case SchemaKind::kRule:
      return "rule";
    case SchemaKind::kPolicy:
      return "policy";
    case SchemaKind::kSetting:
      return "setting";
    case SchemaKind::kEnum:
      return "labels of type";
    case SchemaKind::kExtension:
      return "extension";
  }
  return "";
}

// Indexes and constraints are the same under any name; the others are what their name says.
bool known_by_definition(SchemaKind kind) {
  return kind == SchemaKind::kUnique || kind == SchemaKind::kIndex || kind == SchemaKind::kConstraint;
}

// Of no table.
bool of_types(SchemaKind kind) { return kind == SchemaKind::kEnum || kind == SchemaKind::kExtension; }

// Without another index queries are slower, and right.
FindingWeight weight_of_lack(SchemaKind kind) {
  return kind == SchemaKind::kIndex ? FindingWeight::kNote : FindingWeight::kMatters;
}

FindingWeight weight_of_change(SchemaKind kind, bool one_version) {
  switch (kind) {
    case SchemaKind::kColumn:
    case SchemaKind::kExtension:
      return FindingWeight::kNote;
    case SchemaKind::kEnum:
      return FindingWeight::kMatters;
    default:
      return one_version ? FindingWeight::kMatters : FindingWeight::kNote;
  }
}

// A trigger, rule or row security that is off behaves otherwise; how keys are found or deferred is worth a note.
FindingWeight weight_of_state(SchemaKind kind) {
  return kind == SchemaKind::kTrigger || kind == SchemaKind::kRule ? FindingWeight::kMatters : FindingWeight::kNote;
}

// Major versions differ in spaces and parentheses.
std::string bare(const std::string& definition) {
  std::string text;
  for (const char c : definition) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0 && c != '(' && c != ')') text += c;
  }
  return text;
}

std::string shown(const std::string& text) {
  return text.size() <= kShownMax ? text : text.substr(0, kShownMax) + "...";
}

class TableCompare {
 public:
  TableCompare(std::string table, bool one_version) : table_(std::move(table)), one_version_(one_version) {}

  void compare(std::vector<SchemaItem> blue, std::vector<SchemaItem> green) {
    for (const SchemaItem& item : blue) look_for_fault(item, "blue");
    for (const SchemaItem& item : green) look_for_fault(item, "green");
    pair(blue, green, [this](const SchemaItem& a, const SchemaItem& b) {
      return a.kind == b.kind && (known_by_definition(a.kind) || a.name == b.name) && same(a, b);
    });
    pair(blue, green, [](const SchemaItem& a, const SchemaItem& b) { return a.kind == b.kind && a.name == b.name; });
    for (const SchemaItem& item : blue) lacks(item, "blue", "green");
    for (const SchemaItem& item : green) lacks(item, "green", "blue");
  }

  std::vector<VerifyFinding> findings() { return std::move(findings_); }

 private:
  template <typename Same>
  void pair(std::vector<SchemaItem>& blue, std::vector<SchemaItem>& green, Same same) {
    std::erase_if(blue, [&](const SchemaItem& item) {
      const auto other =
          std::find_if(green.begin(), green.end(), [&](const SchemaItem& one) { return same(item, one); });
      if (other == green.end()) return false;
      differs(item, *other);
      green.erase(other);
      return true;
    });
  }

  [[nodiscard]] bool same(const SchemaItem& a, const SchemaItem& b) const {
    return a.definition == b.definition || (!one_version_ && bare(a.definition) == bare(b.definition));
  }

  void differs(const SchemaItem& blue, const SchemaItem& green) {
    const std::string what = std::string(word(blue.kind)) + " " + blue.name;
    if (!same(blue, green)) {
      add(weight_of_change(blue.kind, one_version_), "",
          what + " is " + shown(blue.definition) + " on blue and " + shown(green.definition) + " on green" +
              (one_version_ || blue.kind == SchemaKind::kColumn || blue.kind == SchemaKind::kEnum
                   ? ""
                   : "; the two versions of PostgreSQL may only spell it differently"));
    }
    const auto state = [](const SchemaItem& item) { return item.state.empty() ? "not so" : item.state; };
    if (blue.state != green.state) {
      add(weight_of_state(blue.kind), "", what + ": " + state(blue) + " on blue, " + state(green) + " on green");
    }
  }

  void lacks(const SchemaItem& item, const char* there, const char* not_there) {
    if (item.kind == SchemaKind::kColumn) return;  // the rows' result says so
    if (of_types(item.kind)) return;               // no column there has it, so types of columns differ
    const std::string name = item.name + (item.definition.empty() ? "" : ": " + shown(item.definition));
    add(weight_of_lack(item.kind), not_there,
        std::string(word(item.kind)) + " " + name + " is on " + there + " and not on " + not_there);
  }

  void look_for_fault(const SchemaItem& item, const char* side) {
    if (item.fault.empty()) return;
    add(item.kind == SchemaKind::kConstraint ? FindingWeight::kNote : FindingWeight::kMatters, side,
        std::string(word(item.kind)) + " " + item.name + " " + item.fault);
  }

  void add(FindingWeight weight, std::string side, std::string text) {
    findings_.push_back({.area = FindingArea::kSchema,
                         .weight = weight,
                         .table = table_,
                         .side = std::move(side),
                         .text = std::move(text)});
  }

  std::string table_;
  bool one_version_;
  std::vector<VerifyFinding> findings_;
};

// A column that only one side has is in the rows' result: what hangs on it says nothing more.
std::vector<SchemaItem> of_common_columns(const std::vector<SchemaItem>& items, const std::vector<SchemaItem>& other) {
  const auto has_column = [&](const std::string& name) {
    return std::any_of(other.begin(), other.end(),
                       [&](const SchemaItem& item) { return item.kind == SchemaKind::kColumn && item.name == name; });
  };
  std::vector<SchemaItem> kept;
  for (const SchemaItem& item : items) {
    const bool hangs = item.kind == SchemaKind::kNotNull || item.kind == SchemaKind::kDefault;
    if (!hangs || has_column(item.name)) kept.push_back(item);
  }
  return kept;
}

std::vector<SchemaItem> types_of(const std::vector<std::vector<SchemaItem>>& tables) {
  std::vector<SchemaItem> types;
  for (const std::vector<SchemaItem>& items : tables) {
    std::copy_if(items.begin(), items.end(), std::back_inserter(types),
                 [](const SchemaItem& item) { return of_types(item.kind); });
  }
  return types;
}

std::vector<SchemaItem> own(std::vector<SchemaItem> items) {
  std::erase_if(items, [](const SchemaItem& item) { return of_types(item.kind); });
  return items;
}

}  // namespace

std::vector<VerifyFinding> compare_schema(const std::string& table, const std::vector<SchemaItem>& blue,
                                          const std::vector<SchemaItem>& green, bool one_version) {
  TableCompare compare(table, one_version);
  compare.compare(of_common_columns(blue, green), of_common_columns(green, blue));
  return compare.findings();
}

std::vector<VerifyFinding> check_schema(SideLook& blue, SideLook& green) {
  const bool one_version = blue.connection().server_major() == green.connection().server_major();
  const std::vector<std::vector<SchemaItem>> here = read_schema_items(blue);
  const std::vector<std::vector<SchemaItem>> there = read_schema_items(green);
  std::vector<VerifyFinding> findings = compare_schema("", types_of(here), types_of(there), one_version);
  for (std::size_t i = 0; i < here.size(); ++i) {
    const std::string table = to_string(blue.table(static_cast<long long>(i) + 1).blue.name);
    for (VerifyFinding& finding : compare_schema(table, own(here[i]), own(there[i]), one_version)) {
      findings.push_back(std::move(finding));
    }
  }
  return findings;
}

}  // namespace teal
