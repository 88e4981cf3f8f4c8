#pragma once
#include <optional>
#include <string>

#include <boost/unordered/unordered_flat_map.hpp>

#include "conflict/local_changes.h"
#include "decoder/lsn.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// What a link's target has of a row that was read from the source after a change of it had won: see SourceRows.
struct FetchedKey {
  bool left_out = false;  ///< the row was gone from the source by then, and was not written
  Lsn as_of;              ///< what was read may know of commits below this position of the source's log
  std::string table;      ///< its name, for people
  bool operator==(const FetchedKey&) const = default;
};

/// The keys whose rows on the target are not those of the moment that the link is at: teal.fetched_key there.
///
/// A row that was completed from the source holds values of changes that are still to come, or of another row that has
/// the key by now; one that was gone is not written at all. It stays like that until the stream has come to the moment
/// of the reading: then everything that was in the way has been applied. Up to there a change of such a key is written
/// so that it does not rest on what is there. What is noted is written in the same target transaction as the rows.
/// Threads: one. Errors: PgError.
class FetchedKeys {
 public:
  explicit FetchedKeys(LinkNames names) : names_(std::move(names)) {}

  /// At the start of a session, after the row of progress.
  void read(PgConnection& target);

  /// A plan begins. `open`: the target transaction has earlier slices of it.
  void begin(bool open);
  /// What is noted of a key; null: nothing. Of merged changes the first counts, so it holds for all of a batch in which
  /// the stream comes to that moment. Lifetime: until a change here.
  [[nodiscard]] const FetchedKey* find(const KeyHash& key) const;
  void note(const KeyHash& key, FetchedKey fetched) { planned_.insert_or_assign(key, std::move(fetched)); }
  /// The row is written as the stream has it, or is the target's own.
  void forget(const KeyHash& key) { planned_.erase(key); }
  [[nodiscard]] bool empty() const { return planned_.empty(); }

  /// Into the open transaction of `target`, which brings the link to `applied`.
  void write(PgConnection& target, Lsn applied);
  /// That transaction was committed.
  void committed() { committed_ = written_; }

 private:
  using Keys = boost::unordered_flat_map<KeyHash, FetchedKey, KeyHashHash>;

  LinkNames names_;
  Keys committed_;
  Keys written_;  // in the open target transaction
  Keys planned_;
};

}  // namespace teal
