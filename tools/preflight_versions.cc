// Types and values that another version or encoding does not have, or reads otherwise.
#include "engine/type_fit.h"
#include "tools/preflight_checks.h"
#include "tools/version_rules.h"

namespace teal {
namespace {

constexpr std::uint32_t kNumeric = 1700;
constexpr std::uint32_t kNumericArray = 1231;
constexpr int kFreeScale = 15;  // numeric's scale may be negative or larger than its precision

std::string alter_type(const TypedColumn& user, const std::string& type) {
  return "ALTER TABLE " + quote_qualified(user.table->name.schema, user.table->name.name) + " ALTER COLUMN " +
         quote_identifier(user.column->name) + " TYPE " + type + ";";
}

// With a precision, numeric has no infinity.
void without_precision(std::vector<TypedColumn>& users) {
  std::erase_if(users, [](const TypedColumn& user) {
    return (user.column->type_oid == kNumeric || user.column->type_oid == kNumericArray) &&
           user.column->type_modifier != -1;
  });
}

// A rule that keeps the application from writing such a value, where it is as simple as that.
std::string guard(const TypedColumn& user, std::string_view condition) {
  if (user.column->type_oid >= kFirstUserTypeOid || user.column->type.ends_with("]")) return "";
  std::string check(condition);
  check.replace(check.find("%1"), 2, quote_identifier(user.column->name));
  return "ALTER TABLE " + quote_qualified(user.table->name.schema, user.table->name.name) + " ADD CHECK (" + check +
         ");";
}

}  // namespace

void refuse_for_text(Preflight& preflight, const std::vector<TypedColumn>& users, const std::string& why) {
  for (const TypedColumn& user : users) {
    preflight.add(preflight.target(),
                  to_string(user.table->name) + "." + user.column->name + " is " + user.column->type + ": " + why,
                  "on both sides, or exclude the table: " + alter_type(user, "text"));
  }
}

// Values and types that only newer versions have, on the way to an older one (TRAPS D3, D9).
void check_versions(Preflight& preflight, const SelectedTypes& types, int source_major, int target_major) {
  const std::string older = "PostgreSQL " + std::to_string(target_major) + " on " + preflight.target();
  for (const VersionRule& rule : version_rules(source_major, target_major)) {
    std::vector<TypedColumn> users = types.users_of_system_type(rule.type);
    if (rule.type == "numeric") without_precision(users);
    if (users.empty()) continue;
    if (rule.silent) {
      refuse_for_text(preflight, users, older + ": " + std::string(rule.what));
      continue;
    }
    const std::string sql = guard(users.front(), rule.check);
    preflight.report.notes.push_back(
        in_words(users) + " hold " + std::string(rule.type) + ", whose " + std::string(rule.what) + " (" + older + ")" +
        (sql.empty() ? "" : "; to keep such values out, on " + preflight.source() + ", for each: " + sql));
  }
  if (source_major < kFreeScale || target_major >= kFreeScale) return;
  for (const auto& [type, users] : types.columns()) {
    if (type != kNumeric && type != kNumericArray) continue;
    for (const TypedColumn& user : users) {
      if (!scale_needs_15(user.column->type_modifier)) continue;
      preflight.add(
          preflight.target(),
          to_string(user.table->name) + "." + user.column->name + " is " + user.column->type + ", a scale that " +
              older + " does not have",
          "on both sides, or exclude the table: " + alter_type(user, type == kNumeric ? "numeric" : "numeric[]"));
    }
  }
}

}  // namespace teal
