#pragma once
#include <functional>
#include <string>

#include "decoder/relation.h"
#include "engine/catalog.h"
#include "engine/catalog_types.h"
#include "engine/pg_connection.h"
#include "engine/value_fit.h"

namespace teal {

/// Opens an ordinary session on the source. Errors: PgError.
using OpenSource = std::function<PgConnection()>;

/// Whether the values of the source's columns keep their value in the target's, as `check` judges it.
///
/// The stream tells a type's number and, of one that users define, a name; what it is made of is read from the source's
/// catalogs. These may be ahead of the stream, yet what is asked about cannot have changed: a type in use keeps what it
/// is made of, only its labels and the number of its attributes change, and a value that does not suit them is refused.
/// A type that is gone from there is known by its name alone.
/// Lifetime: `target` outlives it; what was read is kept as long. Threads: one.
class ColumnFit {
 public:
  ColumnFit(OpenSource open_source, PgConnection& target) : open_source_(std::move(open_source)), target_(target) {}

  /// Errors: PgError.
  [[nodiscard]] ValueFit fit(const Column& source, const CatalogColumn& target);
  /// What kCast asks for in front of the cast to the target's type: `real::`; "" for a type of the users, whose text
  /// stays what it is. After `fit` for the same column. Errors: PgError.
  [[nodiscard]] std::string cast_through(const Column& source);
  /// A type in words: `numeric(10,2)`, `public.price (numeric(10,2))`. After `fit` for the same columns. Errors:
  /// PgError.
  [[nodiscard]] std::string source_in_words(const Column& source);
  [[nodiscard]] std::string target_in_words(const CatalogColumn& target) const;

 private:
  void read_source(std::uint32_t type);
  void read_target(std::uint32_t type);
  [[nodiscard]] std::string format(TypeUse use);
  ValueFit fit_by_name(const Column& source, TypeUse target);

  OpenSource open_source_;
  PgConnection& target_;
  TypesByOid source_types_;
  TypesByOid target_types_;
};

}  // namespace teal
