#include "tools/cli.h"

int main(int argc, char** argv) { return teal::run_cli(argc, argv); }
