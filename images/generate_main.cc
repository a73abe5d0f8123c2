// Runs at build time. Writes the man page or the completion to standard output.
#include "images/manual.h"

int main(int argc, char** argv) {
  return hostos::GenerateManual(std::span<const char* const>(argv + 1, argc > 0 ? argc - 1 : 0),
                                hostos::HostimageManual());
}
