#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "decoder/change.h"
#include "decoder/transaction.h"

namespace teal {

/// How `teal tail` prints: lines for people, or one JSON object per line.
enum class TailFormat { kText, kJson };

// The lines of `teal tail`, each with its end. Values are the server's own text, always in quotes, so that a number
// keeps its digits and nothing in a value can end it, begin a line or steer a terminal; null and unchanged TOAST stand
// without quotes (text) or as null and in a list of their own (JSON). docs/reference.md describes both shapes.

[[nodiscard]] std::string tail_begin(TailFormat format, const TransactionFacts& facts);

/// An INSERT, UPDATE or DELETE. `types`: one name per column of its relation.
[[nodiscard]] std::string tail_row(TailFormat format, Xid xid, const Change& change,
                                   std::span<const std::string> types);

/// A TRUNCATE; `tables`: those of its tables that are shown, at least one.
[[nodiscard]] std::string tail_truncate(TailFormat format, Xid xid, const Change& change,
                                        std::span<const Relation* const> tables);

/// `change_count`: lines between the transaction's begin and this one.
[[nodiscard]] std::string tail_commit(TailFormat format, const TransactionFacts& facts, Lsn end_lsn,
                                      std::uint64_t change_count);

}  // namespace teal
