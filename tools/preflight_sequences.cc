// Keys that both sides draw: rows of equal keys are taken for versions of one row, and one of each two is lost.
#include <set>

#include "tools/interleaving.h"
#include "tools/preflight_checks.h"
#include "tools/sequence_facts.h"

namespace teal {
namespace {

void note_same_numbers(Preflight& forward, const SequencePairs& sequences) {
  std::string columns;
  for (const SequencePair& pair : sequences.pairs) {
    if (!pair.apart()) columns += (columns.empty() ? "" : ", ") + pair.columns;
  }
  if (columns.empty()) return;
  forward.report.notes.push_back(
      "writers: both, and each side has a sequence of its own for " + columns +
      ": both would draw the same values, and rows with the same key are taken for versions of one row; say "
      "sequences: { interleave: true } in the configuration, or give the sequences of each side values that the "
      "other's never have (ALTER SEQUENCE ... INCREMENT BY 2, with odd numbers on blue and even ones on green), before "
      "applications write on green");
}

}  // namespace

void check_sequences(Preflight& forward, PgConnection& blue, PgConnection& green) {
  const bool interleaves = forward.config.sequences.interleave;
  if (!interleaves && forward.config.writers != Writers::kBoth) return;
  std::set<TableName> tables;
  for (const SourceTable& table : forward.tables) tables.insert(table.name);
  for (const SourceTable& part : forward.parts) tables.insert(part.name);
  const bool makes_tables = forward.config.copy.schema && forward.mode == PreflightMode::kWithCopy;
  const SequencePairs sequences = pair_sequences(read_sequences(blue, tables, forward.config.name),
                                                 read_sequences(green, tables, forward.config.name), makes_tables);
  if (!interleaves) return note_same_numbers(forward, sequences);
  for (Finding& finding :
       find_interleaving_problems(sequences, read_server_facts(blue).role, read_server_facts(green).role)) {
    forward.report.findings.push_back(std::move(finding));
  }
}

}  // namespace teal
