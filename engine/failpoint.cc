#include "engine/failpoint.h"

#ifdef TEAL_FAILPOINTS
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

namespace teal {
namespace {

struct Armed {
  std::string name;
  std::atomic<int> remaining{0};

  Armed() {
    const char* text = std::getenv("TEAL_FAILPOINT");
    if (text == nullptr) return;
    name = text;
    const std::size_t colon = name.find(':');
    remaining = colon == std::string::npos ? 1 : std::atoi(name.c_str() + colon + 1);
    if (colon != std::string::npos) name.resize(colon);
  }
};

}  // namespace

void failpoint(const char* name) {
  static Armed armed;
  if (armed.name != name || --armed.remaining != 0) return;
  ::kill(::getpid(), SIGKILL);
}

}  // namespace teal
#endif
