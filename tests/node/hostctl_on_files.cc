// hostctl on the files of a FileNode: hostctl_on_files DIRECTORY WORD...
#include <iostream>

#include "tests/node/file_world.h"

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const std::span<const char* const> words(arguments + 2, static_cast<size_t>(count - 2));
  hostos::Console console{
      .out = std::cout, .err = std::cerr, .style = hostos::PhaseProgress::Style::kLog};
  return Number(hostos::RunOnFiles(arguments[1], words, console));
}
