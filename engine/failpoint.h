#pragma once

namespace teal {

#ifdef TEAL_FAILPOINTS
/// Test builds only: the environment's `TEAL_FAILPOINT=name[:n]` kills the process (SIGKILL) when it passes the point
/// `name` for the n-th time (1 when left out). Release builds hold neither the points nor this function.
void failpoint(const char* name);
#define TEAL_FAILPOINT(name) ::teal::failpoint(name)
#else
#define TEAL_FAILPOINT(name) static_cast<void>(0)
#endif

}  // namespace teal
