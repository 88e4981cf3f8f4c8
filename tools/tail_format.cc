#include "tools/tail_format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/time_text.h"
#include "tools/quoted_text.h"

namespace teal {
namespace {

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// ---------------------------------------------------------------------------------------------------- text

void append_table(std::string& out, const Relation& relation) {
  append_name(out, relation.schema);
  out += '.';
  append_name(out, relation.name);
}

struct Image {
  const Relation& relation;
  TupleView tuple;
  std::span<const std::string> types;
  bool key_only = false;  ///< columns outside the identity were not sent
};

void append_image(std::string& out, const Image& image) {
  for (std::size_t i = 0; i < image.tuple.size(); ++i) {
    const Column& column = image.relation.columns[i];
    if (image.key_only && !column.identity) continue;
    out += ' ';
    append_name(out, column.name);
    out += '[';
    if (printable(image.types[i])) {
      out += image.types[i];
    } else {
      append_quoted(out, image.types[i]);
    }
    out += "]=";
    const ColumnValue& value = image.tuple[i];
    if (value.has_value()) {
      append_quoted(out, value.text());
    } else {
      out += value.kind == ColumnKind::kNull ? "null" : "unchanged";
    }
  }
}

std::string_view op_name(ChangeOp op) {
  constexpr std::array<std::string_view, 4> kNames{"insert", "update", "delete", "truncate"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string text_row(const Change& change, std::span<const std::string> types) {
  std::string out(op_name(change.op));
  out += ' ';
  append_table(out, *change.relation);
  if (change.old_kind != OldTupleKind::kNone) {
    const bool key_only = change.old_kind == OldTupleKind::kKey;
    out += key_only ? " key:" : " old:";
    append_image(out, {*change.relation, change.old_tuple, types, key_only});
  }
  if (change.op != ChangeOp::kDelete) {
    out += " new:";
    append_image(out, {*change.relation, change.new_tuple, types});
  }
  return out + "\n";
}

std::string text_truncate(const Change& change, std::span<const Relation* const> tables) {
  std::string out = "truncate";
  for (const Relation* table : tables) {
    out += table == tables.front() ? " " : ", ";
    append_table(out, *table);
  }
  if ((change.truncate_flags & kTruncateCascade) != 0) out += " cascade";
  if ((change.truncate_flags & kTruncateRestartIdentity) != 0) out += " restart_identity";
  return out + "\n";
}

// ---------------------------------------------------------------------------------------------------- JSON

// One object, field by field.
class JsonLine {
 public:
  explicit JsonLine(std::string_view op) { text("op", op); }

  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    append_quoted(out_, name);
    out_ += ':';
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    append_quoted(out_, value);
  }
  void bare(std::string_view name, std::string_view value) {
    key(name);
    out_ += value;
  }
  void open(std::string_view name, char bracket) {
    key(name);
    out_ += bracket;
    first_ = true;
  }
  void element(std::string_view value) {
    if (!first_) out_ += ',';
    first_ = false;
    append_quoted(out_, value);
  }
  void open_element() {
    out_ += first_ ? "{" : ",{";
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  [[nodiscard]] std::string end() && { return std::move(out_) + "}\n"; }

 private:
  std::string out_ = "{";
  bool first_ = true;
};

// Unchanged TOAST is left out: it is no value, least of all null.
void add_image(JsonLine& line, std::string_view name, const Image& image) {
  line.open(name, '{');
  for (std::size_t i = 0; i < image.tuple.size(); ++i) {
    const Column& column = image.relation.columns[i];
    const ColumnValue& value = image.tuple[i];
    if (value.kind == ColumnKind::kUnchangedToast || (image.key_only && !column.identity)) continue;
    if (value.has_value()) {
      line.text(column.name, value.text());
    } else {
      line.bare(column.name, "null");
    }
  }
  line.close('}');
}

std::string json_row(Xid xid, const Change& change, std::span<const std::string> types) {
  const Relation& relation = *change.relation;
  JsonLine line(op_name(change.op));
  line.bare("xid", std::to_string(xid.value));
  line.text("lsn", to_string(change.lsn));
  line.text("schema", relation.schema);
  line.text("table", relation.name);
  if (change.old_kind == OldTupleKind::kFull) {
    add_image(line, "old", {relation, change.old_tuple, types});
  } else if (change.op != ChangeOp::kInsert) {
    // Without an old image the identity did not change: the new row has it.
    const bool sent = change.old_kind == OldTupleKind::kKey;
    add_image(line, "key", {relation, sent ? change.old_tuple : change.new_tuple, types, true});
  }
  if (change.op != ChangeOp::kDelete) add_image(line, "new", {relation, change.new_tuple, types});
  if (change.op == ChangeOp::kUpdate) {
    line.open("unchanged", '[');
    for (std::size_t i = 0; i < change.new_tuple.size(); ++i) {
      if (change.new_tuple[i].kind == ColumnKind::kUnchangedToast) line.element(relation.columns[i].name);
    }
    line.close(']');
  }
  line.open("types", '{');
  for (std::size_t i = 0; i < relation.columns.size(); ++i) line.text(relation.columns[i].name, types[i]);
  line.close('}');
  return std::move(line).end();
}

std::string json_truncate(Xid xid, const Change& change, std::span<const Relation* const> tables) {
  JsonLine line("truncate");
  line.bare("xid", std::to_string(xid.value));
  line.text("lsn", to_string(change.lsn));
  line.open("tables", '[');
  for (const Relation* table : tables) {
    line.open_element();
    line.text("schema", table->schema);
    line.text("table", table->name);
    line.close('}');
  }
  line.close(']');
  line.bare("cascade", (change.truncate_flags & kTruncateCascade) != 0 ? "true" : "false");
  line.bare("restart_identity", (change.truncate_flags & kTruncateRestartIdentity) != 0 ? "true" : "false");
  return std::move(line).end();
}

}  // namespace

std::string tail_begin(TailFormat format, const TransactionFacts& facts) {
  const std::string xid = std::to_string(facts.xid.value);
  if (format == TailFormat::kText) {
    std::string out = "begin xid=" + xid + " commit_lsn=" + to_string(facts.final_lsn) + " commit_time=\"" +
                      to_string(facts.commit_time) + "\"";
    if (facts.origin) {
      out += " origin=";
      append_name(out, facts.origin->name);
    }
    return out + "\n";
  }
  JsonLine line("begin");
  line.bare("xid", xid);
  line.text("commit_lsn", to_string(facts.final_lsn));
  line.text("commit_time", to_string(facts.commit_time));
  if (facts.origin) {
    line.text("origin", facts.origin->name);
  } else {
    line.bare("origin", "null");
  }
  return std::move(line).end();
}

std::string tail_row(TailFormat format, Xid xid, const Change& change, std::span<const std::string> types) {
  return format == TailFormat::kText ? text_row(change, types) : json_row(xid, change, types);
}

std::string tail_truncate(TailFormat format, Xid xid, const Change& change, std::span<const Relation* const> tables) {
  return format == TailFormat::kText ? text_truncate(change, tables) : json_truncate(xid, change, tables);
}

std::string tail_commit(TailFormat format, const TransactionFacts& facts, Lsn end_lsn, std::uint64_t change_count) {
  const std::string xid = std::to_string(facts.xid.value);
  const std::string count = std::to_string(change_count);
  if (format == TailFormat::kText) {
    return "commit xid=" + xid + " end_lsn=" + to_string(end_lsn) + " changes=" + count + "\n";
  }
  JsonLine line("commit");
  line.bare("xid", xid);
  line.text("commit_lsn", to_string(facts.final_lsn));
  line.text("end_lsn", to_string(end_lsn));
  line.text("commit_time", to_string(facts.commit_time));
  line.bare("changes", count);
  return std::move(line).end();
}

}  // namespace teal
