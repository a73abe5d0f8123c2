// Runs at build time: writes the man page or the completion to standard output.
#include <cstdio>
#include <string_view>

#include "updater/hostctl/help.h"

int main(int argc, char** argv) {
  std::string_view what = argc == 2 ? argv[1] : "";
  std::string text = what == "man"          ? hostos::ManPage()
                     : what == "completion" ? hostos::BashCompletion()
                                            : "";
  if (text.empty()) {
    std::fputs("usage: hostctl-generate man|completion\n", stderr);
    return 2;
  }
  bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? 0 : 1;
}
