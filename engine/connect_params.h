#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// Keywords and values for libpq's connecting functions.
struct ConnectParams {
  std::vector<std::string> keys;
  std::vector<std::string> values;

  void set(std::string key, std::string value) {
    keys.push_back(std::move(key));
    values.push_back(std::move(value));
  }
  [[nodiscard]] bool has(std::string_view key) const {
    for (const std::string& known : keys) {
      if (known == key) return true;
    }
    return false;
  }
  void set_default(const char* key, std::string value) {
    if (!has(key)) set(key, std::move(value));
  }
  void append(const char* key, std::string_view text) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == key) {
        values[i].append(" ").append(text);
        return;
      }
    }
    set(key, std::string(text));
  }
};

/// What `options` come to: the connection string's own, the environment's, and where both say nothing, ours.
/// Errors: PgError 08001 for a connection string that libpq cannot read, without quoting it.
[[nodiscard]] ConnectParams connect_params(const ConnectOptions& options);

/// With the null pointer that libpq wants at the end. Lifetime: of `texts`.
[[nodiscard]] std::vector<const char*> pointers(const std::vector<std::string>& texts);

/// libpq's messages in one line.
[[nodiscard]] std::string trimmed(const char* text);

}  // namespace teal
