#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace teal {

/// What many rows come to, whatever their order: how many they are, and the sum of their hashes modulo 2^128.
/// The server's form has two hashes of 64 bits under two seeds, whose sums are kept apart and carried as the numbers
/// that the server writes. Digests of the two forms are never compared with each other.
struct Digest {
  std::uint64_t rows = 0;
  std::string low = "0";
  std::string high = "0";

  bool operator==(const Digest&) const = default;
};

/// Adds rows in the client, by XXH3 (128 bits). Threads: one.
class DigestSum {
 public:
  /// `image`: the text of a whole row, see row_image_sql.
  void add(std::string_view image);
  [[nodiscard]] Digest digest() const;

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
};

}  // namespace teal
