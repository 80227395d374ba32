#include <csignal>
#include <iostream>

#include "client/cli/commands.h"

int main(int argc, char** argv) {
  // A reader of our output that goes away is an error of write, not the end of us.
  std::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  return meridian::cli::Main(argc, argv, std::cout, std::cerr);
}
