// Types of the users: a value's text says nothing about the type that reads it, so the definitions have to agree. A
// composite's text goes by position, a domain over numeric(10,1) rounds what one over numeric(10,2) holds (TRAPS D7).
#include <algorithm>
#include <functional>
#include <set>

#include "engine/catalog_extensions.h"
#include "engine/catalog_types.h"
#include "engine/type_fit.h"
#include "tools/preflight_checks.h"

namespace teal {
namespace {

class TypeComparison {
 public:
  TypeComparison(Preflight& preflight, const SelectedTypes& source, PgConnection& target,
                 const std::vector<TargetRelation>& targets, bool schema_ahead)
      : preflight_(preflight), source_(source), target_version_(target.server_major()) {
    for (std::size_t i = 0; i < preflight.tables.size(); ++i) {
      if (schema_ahead && !targets[i].exists) made_by_teal_.insert(&preflight.tables[i]);
    }
    std::vector<TableName> names;
    for (const auto& [oid, type] : source.types()) {
      if (type.kind != TypeKind::kArray) names.push_back(type.name);
    }
    there_ = find_types(target, names);
  }

  // What a type is made of comes before it: mends are made in this order.
  void check() {
    for (const auto& [type, users] : source_.columns()) visit(type);
  }

 private:
  void visit(std::uint32_t oid) {
    const auto found = source_.types().find(oid);
    if (found == source_.types().end() || !visited_.insert(oid).second) return;  // dropped meanwhile, or seen
    const TypeDefinition& type = found->second;
    for (const TypePart& part : type.parts) visit(part.type_oid);
    if (type.kind == TypeKind::kArray || preflight_.found.types.contains(type.name)) return;
    const auto there = there_.find(type.name);
    if (there == there_.end()) {
      check_missing(type);
    } else if (!type.built_in()) {
      compare(type, there->second);
    }
  }

  void check_missing(const TypeDefinition& type) {
    if (type.built_in()) {
      add(type,
          "PostgreSQL " + std::to_string(target_version_) + " on " + preflight_.target() + " has no type " +
              type.name.name,
          "use a " + preflight_.target() + " that is as new as " + preflight_.source() +
              ", give the columns another type on " + preflight_.source() + ", or exclude their tables");
      return;
    }
    // Those of extensions are looked at with the extensions; multiranges come with their ranges.
    if (comes_with_its_tables(type) || type.kind == TypeKind::kMultirange) return;
    if (!type.extension.empty()) {
      if (!named_extensions_.insert(type.extension).second) return;
      add(type,
          preflight_.target() + " lacks the extension " + type.extension + " with the type " + to_string(type.name),
          create_extension(type.extension, type.name.schema));
      return;
    }
    const std::string create = type.create_sql();
    add(type, preflight_.target() + " has no type " + to_string(type.name),
        create.empty() ? "make it there as it is on " + preflight_.source() : create);
  }

  static std::string create_extension(const std::string& name, const std::string& schema) {
    return "CREATE EXTENSION " + quote_identifier(name) + " SCHEMA " + quote_identifier(schema) + ";";
  }

  void compare(const TypeDefinition& type, const TypeDefinition& there) {
    if (type.extension.empty() && !type.of_table && comes_with_its_tables(type)) {
      const std::string kind = type.kind == TypeKind::kDomain ? "DOMAIN " : "TYPE ";
      add(type,
          preflight_.target() + " has a type " + to_string(type.name) +
              " already, which is made together with the tables",
          "DROP " + kind + there.quoted() + "; or make the tables yourself and set copy.schema: false");
      return;
    }
    if (type.kind != there.kind) {
      differs(type, there);
      return;
    }
    switch (type.kind) {
      case TypeKind::kEnum:
        compare_labels(type, there);
        break;
      case TypeKind::kDomain:
        if (!parts_fit(type, there)) differs(type, there);
        compare_rules(type, there);
        break;
      case TypeKind::kComposite:
        if (!parts_fit(type, there)) differs(type, there);
        break;
      case TypeKind::kRange:
        if (type.summary() != there.summary()) differs(type, there);
        break;
      default:
        break;
    }
  }

  static bool parts_fit(const TypeDefinition& type, const TypeDefinition& there) {
    const auto fits = [](const TypePart& from, const TypePart& to) {
      if (from.name != to.name) return false;
      return from.type == to.type || (from.type_oid < kFirstMovingTypeOid && from.type_oid == to.type_oid &&
                                      modifier_fits(from.type_oid, from.type_modifier, to.type_modifier));
    };
    return std::equal(type.parts.begin(), type.parts.end(), there.parts.begin(), there.parts.end(), fits);
  }

  void compare_labels(const TypeDefinition& type, const TypeDefinition& there) {
    const std::set<std::string> known(there.labels.begin(), there.labels.end());
    std::string missing;
    std::string mend;
    for (std::size_t i = 0; i < type.labels.size(); ++i) {
      const std::string& label = type.labels[i];
      if (known.contains(label)) continue;
      missing += (missing.empty() ? "" : ", ") + quote_literal(label);
      mend += (mend.empty() ? "" : " ") + std::string("ALTER TYPE ") + there.quoted() + " ADD VALUE " +
              quote_literal(label);
      if (i > 0) {
        mend += " AFTER " + quote_literal(type.labels[i - 1]);
      } else if (!there.labels.empty()) {
        mend += " BEFORE " + quote_literal(there.labels.front());
      }
      mend += ";";
    }
    if (!missing.empty()) {
      add(type, "the enum " + to_string(type.name) + " lacks " + missing + " on " + preflight_.target(), mend);
      return;
    }
    const std::set<std::string> wanted(type.labels.begin(), type.labels.end());
    std::vector<std::string> shared;
    std::copy_if(there.labels.begin(), there.labels.end(), std::back_inserter(shared),
                 [&](const std::string& label) { return wanted.contains(label); });
    if (shared == type.labels) return;
    if (orders_a_range(type.oid)) {
      preflight_.found.types.insert(type.name);
      add(type,
          "the enum " + to_string(type.name) + " has its labels in another order on " + preflight_.target() +
              ", so that ranges of it differ",
          rebuild(type, there));
      return;
    }
    preflight_.found.types.insert(type.name);
    preflight_.report.notes.push_back("the enum " + to_string(type.name) + " has its labels in another order on " +
                                      preflight_.target() +
                                      ": its values arrive as they are, but sort and compare in that order");
  }

  // What the target's rules refuse stops the link when it comes; what they are is not compared further than by their
  // text, which the versions may write in different ways.
  void compare_rules(const TypeDefinition& type, const TypeDefinition& there) {
    if (there.not_null && !type.not_null) {
      add(type, "the domain " + to_string(type.name) + " is NOT NULL on " + preflight_.target() + " only",
          "ALTER DOMAIN " + there.quoted() + " DROP NOT NULL;");
    }
    for (const TypeCheck& check : there.checks) {
      const bool known = std::any_of(type.checks.begin(), type.checks.end(),
                                     [&](const TypeCheck& own) { return own.expression == check.expression; });
      if (known) continue;
      preflight_.report.notes.push_back("the domain " + to_string(type.name) + " has on " + preflight_.target() +
                                        " a check that " + preflight_.source() + "'s lacks or spells differently, " +
                                        check.name + ": " + check.expression +
                                        ". A value that it refuses stops the link; to be rid of it: ALTER DOMAIN " +
                                        there.quoted() + " DROP CONSTRAINT " + quote_identifier(check.name) + ";");
    }
  }

  void differs(const TypeDefinition& type, const TypeDefinition& there) {
    preflight_.found.types.insert(type.name);
    std::string what = "the type " + to_string(type.name) + " is " + type.summary() + " on " + preflight_.source() +
                       " and " + there.summary() + " on " + preflight_.target();
    if (!type.extension.empty()) {
      add(type, what, "ALTER EXTENSION " + quote_identifier(type.extension) + " UPDATE;");
    } else if (type.create_sql().empty() || there.of_table) {
      add(type, what, "make " + preflight_.target() + "'s like " + preflight_.source() + "'s");
    } else {
      add(type, what, rebuild(type, there));
    }
  }

  // The target's type cannot be changed under its columns, so a new one takes its name; the text of a value leads from
  // one to the other. A range's functions bear its name too, so it has to go first.
  [[nodiscard]] std::string rebuild(const TypeDefinition& type, const TypeDefinition& there) const {
    if (there.kind == TypeKind::kRange) {
      return change_columns(type, true) + "DROP TYPE " + there.quoted() + "; " + type.create_sql() +
             change_columns(type, false);
    }
    const std::string kind = there.kind == TypeKind::kDomain ? "DOMAIN " : "TYPE ";
    return "ALTER " + kind + there.quoted() + " RENAME TO " + quote_identifier(there.name.name + "_old") + "; " +
           type.create_sql() + change_columns(type, false);
  }

  // Statements that give the target's columns of the type, or of an array of it, the type text or the source's type.
  [[nodiscard]] std::string change_columns(const TypeDefinition& type, bool to_text) const {
    std::string sql;
    for (const auto& [used, users] : source_.columns()) {
      if (!is_or_holds_array_of(used, type.oid)) continue;
      for (const TypedColumn& user : users) {
        if (made_by_teal_.contains(user.table)) continue;
        const std::string name = quote_identifier(user.column->name);
        const std::string wanted = to_text ? "text" : user.column->type;
        sql += (to_text ? "" : " ") + std::string("ALTER TABLE ") +
               quote_qualified(user.table->name.schema, user.table->name.name) + " ALTER COLUMN " + name + " TYPE " +
               wanted + " USING " + name + "::text" + (to_text ? "; " : "::" + wanted + ";");
      }
    }
    return sql;
  }

  [[nodiscard]] bool is_or_holds_array_of(std::uint32_t column_type, std::uint32_t type) const {
    if (column_type == type) return true;
    const auto outer = source_.types().find(column_type);
    return outer != source_.types().end() && outer->second.kind == TypeKind::kArray &&
           outer->second.parts.front().type_oid == type;
  }

  [[nodiscard]] bool orders_a_range(std::uint32_t oid) const {
    return std::any_of(source_.types().begin(), source_.types().end(), [&](const auto& entry) {
      return entry.second.kind == TypeKind::kRange && source_.is_made_of(entry.first, oid);
    });
  }

  // Every table that uses it is still to be made on the target, from the source's.
  [[nodiscard]] bool comes_with_its_tables(const TypeDefinition& type) const {
    const std::vector<TypedColumn> users = source_.users_of(type.oid);
    return std::all_of(users.begin(), users.end(),
                       [&](const TypedColumn& user) { return made_by_teal_.contains(user.table); });
  }

  void add(const TypeDefinition& type, const std::string& what, std::string mend) {
    preflight_.add(preflight_.target(), what + " (used by " + in_words(source_.users_of(type.oid)) + ")",
                   std::move(mend));
  }

  Preflight& preflight_;
  const SelectedTypes& source_;
  int target_version_;
  std::set<const SourceTable*> made_by_teal_;
  std::map<TableName, TypeDefinition> there_;  // the target's, by the names of the source's
  std::set<std::uint32_t> visited_;
  std::set<std::string> named_extensions_;
};

}  // namespace

void check_types(Preflight& preflight, const SelectedTypes& types, PgConnection& target,
                 const std::vector<TargetRelation>& targets, bool schema_ahead) {
  TypeComparison(preflight, types, target, targets, schema_ahead).check();
}

// The restore of blue's schema is one transaction: an extension that cannot be made ends it.
void check_extensions(Preflight& preflight, PgConnection& source, PgConnection& target) {
  for (const ExtensionState& extension : read_extensions(source, target)) {
    if (extension.installed || extension.may_create) continue;
    const std::string create =
        "CREATE EXTENSION " + quote_identifier(extension.name) + " SCHEMA " + quote_identifier(extension.schema) + ";";
    if (!extension.available) {
      preflight.add("green", "blue has the extension " + extension.name + ", and green's server does not offer it",
                    "install its package on green's host; or make the tables yourself and set copy.schema: false");
    } else {
      preflight.add("green", "blue has the extension " + extension.name + ", which teal's role may not create on green",
                    create);
    }
  }
}

}  // namespace teal
