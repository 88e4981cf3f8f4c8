#include "verifier/digest.h"

#include <xxhash.h>

namespace teal {

void DigestSum::add(std::string_view image) {
  const XXH128_hash_t hash = XXH3_128bits(image.data(), image.size());
  ++rows_;
  low_ += hash.low64;
  high_ += hash.high64 + (low_ < hash.low64 ? 1U : 0U);
}

Digest DigestSum::digest() const { return {rows_, std::to_string(low_), std::to_string(high_)}; }

}  // namespace teal
