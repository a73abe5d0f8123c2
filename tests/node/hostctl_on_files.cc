// hostctl on the files of a FileNode: hostctl_on_files DIRECTORY WORD...
#include <sys/random.h>

#include <iostream>
#include <random>

#include "tests/node/file_world.h"

// Replaces the C library's function: the same in every run, so that equal runs leave equal files.
extern "C" ssize_t getrandom(void* buffer, size_t size, unsigned) {
  static std::minstd_rand random;
  for (size_t i = 0; i < size; i++)
    static_cast<char*>(buffer)[i] = static_cast<char>(random() >> 16);
  return static_cast<ssize_t>(size);
}

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const std::span<const char* const> words(arguments + 2, static_cast<size_t>(count - 2));
  hostos::Console console{
      .out = std::cout, .err = std::cerr, .style = hostos::PhaseProgress::Style::kLog};
  return Number(hostos::RunOnFiles(arguments[1], words, console));
}
