#include "tools/confirm.h"

#include <unistd.h>

#include <iostream>

#include "engine/pg_error.h"

namespace teal {

bool confirm(const std::string& question, const std::string& without_terminal) {
  if (isatty(STDIN_FILENO) == 0) {
    throw Stopped(StopCode::kUsage, without_terminal + "; say --yes where nobody can be asked");
  }
  std::cerr << question << " [y/N] ";
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace teal
