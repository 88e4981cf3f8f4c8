#pragma once
#include <libpq-fe.h>

#include <cstddef>
#include <memory>

#include "decoder/frame.h"

namespace teal {

struct PgFinish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct PgClear {
  void operator()(PGresult* result) const { PQclear(result); }
};
struct PgConninfoFree {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
struct PgMemoryFree {
  void operator()(char* memory) const { PQfreemem(memory); }
};
struct PgCancelFree {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

using ConnHandle = std::unique_ptr<PGconn, PgFinish>;
using ResultHandle = std::unique_ptr<PGresult, PgClear>;
using ConninfoHandle = std::unique_ptr<PQconninfoOption, PgConninfoFree>;
/// Text that libpq allocated for its caller.
using TextHandle = std::unique_ptr<char, PgMemoryFree>;
using CancelHandle = std::unique_ptr<PGcancel, PgCancelFree>;

/// Takes over a buffer from PQgetCopyData: the one place where libpq's memory becomes a Frame.
[[nodiscard]] inline Frame frame_from_copy_buffer(char* buffer, std::size_t size) {
  return {reinterpret_cast<std::byte*>(buffer), size, [](void* memory) { PQfreemem(memory); }};
}

}  // namespace teal
